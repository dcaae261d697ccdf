"""`up` judges services by what they do: ready when they say so in their own way, failed in the moment they fail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenarios.program import Said
    from tests.scenarios.scene import Scene

FOR_EVER = "6000"
"""A deadline that no test lives to see: who ends before it has not waited for it."""

TINY = "x-tiny: &tiny {image: 'envctl/base:trixie', init: true}\n"

# What listens, and how it answers: the base image has no other server than Perl's sockets.
ACCEPT = "$$s = IO::Socket::INET->new(Listen => 9, LocalPort => 8080) or die; while ($$c = $$s->accept)"
HTTP = f"""[perl, -MIO::Socket::INET, -e, '{ACCEPT} {{
  $$ok = <$$c> =~ m( /health ); while (<$$c> =~ /[^\\r\\n]/) {{}}
  print $$c ($$ok ? "HTTP/1.0 204 Fine\\r\\n\\r\\n" : "HTTP/1.0 503 Not yet\\r\\n\\r\\n"); close $$c }}']"""
SILENT = f"[perl, -MIO::Socket::INET, -e, '{ACCEPT} {{ push @kept, $$c }}']"


def compose_file(scene: Scene, services: str) -> Path:
    """A compose file of the user's."""
    file = scene.folder / "mine.yaml"
    file.write_text(f"{TINY}services:\n{services}")
    return file


def failure(said: Said) -> dict[str, object]:
    """The facts of the error, which are the same for a person and a program."""
    result: dict[str, object] = said.events[-1]
    assert (result["event"], result["ok"], result["exit_code"]) == ("result", False, said.code)
    assert f"error: {result['wanted']}" in said.err
    assert str(result["advice"]) in said.err
    return result


def test_an_image_that_exits_at_once_fails_up_in_that_moment(scene: Scene) -> None:
    """With its exit code and the last lines of its own log, and nothing of what its neighbours say."""
    file = compose_file(
        scene,
        """
  culprit: {<<: *tiny, command: [bash, -c, 'for n in {1..30}; do echo "line $$n."; done; exit 3']}
  neighbour: {<<: *tiny, command: [bash, -c, 'echo the neighbour speaks; exec sleep infinity']}
""",
    )
    said = scene.envctl("up", "--json", "--file", str(file), "--service", "culprit", "--timeout", FOR_EVER, exits=1)
    found = failure(said)
    assert (found["error"], found["service"], found["found"]) == ("ServiceFailed", "culprit", "exited with code 3")
    assert found["log"] == [f"line {n}." for n in range(11, 31)]
    assert "exited with code 3" in said.err
    assert "line 30." in said.err
    assert "the neighbour speaks" not in said.text
    scene.is_gone()


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("restart: always, command: [bash, -c, 'sleep 0.1; exit 7']", "crash-loops: restarted "),
        ("mem_limit: 16m, memswap_limit: 16m, command: [tail, /dev/zero]", "exited with code 137 (out of memory: "),
        ("command: [bash, -c, 'exit 0']", "exited with code 0"),
        ("labels: {envctl.oneshot: 'true'}, command: [bash, -c, 'exit 3']", "exited with code 3"),
    ],
    ids=["crash loop", "out of memory", "ends without being a one-shot", "one-shot that fails"],
)
def test_what_cannot_become_ready_fails_up_in_that_moment(scene: Scene, service: str, reason: str) -> None:
    """Each with the reason as the engine knows it."""
    file = compose_file(scene, f"  culprit: {{<<: *tiny, {service}}}\n")
    said = scene.envctl("up", "--json", "--file", str(file), "--service", "culprit", "--timeout", FOR_EVER, exits=1)
    found = failure(said)
    assert (found["error"], found["service"]) == ("ServiceFailed", "culprit")
    assert str(found["found"]).startswith(reason)
    scene.is_gone()


def test_a_service_that_falls_once_and_stands_up_again_becomes_ready(scene: Scene) -> None:
    """One restart is what restart policies are for."""
    file = compose_file(
        scene,
        """
  stumbles:
    <<: *tiny
    restart: on-failure
    command: [bash, -c, '[ -e /tmp/fell ] || { touch /tmp/fell; exit 1; }; exec sleep infinity']
""",
    )
    scene.envctl("up", "--file", str(file), "--service", "stumbles")
    stumbles = scene.envctl("status", "--json").document["services"]["stumbles"]
    assert (stumbles["state"], stumbles["restarts"]) == ("ready", 1)
    scene.envctl("down")


def test_a_container_that_goes_while_up_waits_fails_up(scene: Scene) -> None:
    """Whoever removed it, there is nothing to wait for any more."""
    never = "labels: {envctl.ready.exec: 'exit 1'}, command: [sleep, infinity]"
    file = compose_file(scene, f"  vanishes: {{<<: *tiny, {never}}}\n")
    up = scene.start("up", "--json", "--file", str(file), "--service", "vanishes", "--timeout", FOR_EVER)
    scene.hears(up, "service.waiting")
    scene.containers()["vanishes"].remove(force=True)
    found = failure(up.finish(exits=1))
    assert (found["service"], found["found"]) == ("vanishes", "its container was removed by someone else")
    scene.is_gone()


def test_a_deadline_names_every_condition_that_is_still_unmet(scene: Scene) -> None:
    """One error, with the last thing that each was seen to lack; what is ready is not in it."""
    file = compose_file(
        scene,
        f"""
  http: {{<<: *tiny, ports: ["8080"], labels: {{envctl.ready.http: ":8080/other"}}, command: {HTTP}}}
  tcp: {{<<: *tiny, ports: ["8080"], labels: {{envctl.ready.tcp: ":8080"}}, command: [sleep, infinity]}}
  log: {{<<: *tiny, labels: {{envctl.ready.log: "^here we go"}}, command: [bash, -c, 'echo nothing; sleep infinity']}}
  exec: {{<<: *tiny, labels: {{envctl.ready.exec: "echo not yet; exit 4"}}, command: [sleep, infinity]}}
  check: {{<<: *tiny, healthcheck: {{test: "exit 1", interval: 1s}}, command: [sleep, infinity]}}
  job: {{<<: *tiny, labels: {{envctl.oneshot: "true"}}, command: [sleep, infinity]}}
  fine: {{<<: *tiny, labels: {{envctl.ready.exec: "exit 0"}}, command: [sleep, infinity]}}
""",
    )
    expected = {
        "http": "GET /other answered 503",
        "tcp": "closed without an answer",
        "log": r"no line of the log matches '\^here we go'",
        "exec": "'echo not yet; exit 4' ended with 4: not yet",
        "check": "its healthcheck says (starting|unhealthy)",
        "job": r"has not ended well yet \(running\)",
    }
    for deadline in ("12", "60", "240"):
        said = scene.envctl("up", "--json", "--file", str(file), "--service", "fine", "--timeout", deadline, exits=1)
        found = failure(said)
        assert found["error"] == "NotReadyInTime"
        unmet = {one["service"]: one for one in found["unmet"]}  # type: ignore[attr-defined]
        # On a busy machine it is over before all seven have started and been asked.
        if all(re.search(expected.get(name, "$^"), one["last_error"]) for name, one in unmet.items()):
            break
    assert unmet.keys() == expected.keys()
    for name, pattern in expected.items():
        assert re.search(pattern, unmet[name]["last_error"]), unmet[name]
        assert unmet[name]["last_error"] in said.err
        assert unmet[name]["state"] == "running"
    assert unmet["log"]["log"] == ["nothing"]
    scene.is_gone()


def test_labels_say_when_a_service_of_the_users_is_ready(scene: Scene) -> None:
    """Each kind of label, a healthcheck, and none at all; a one-shot is done; what is to be ignored delays nobody."""
    file = compose_file(
        scene,
        f"""
  http: {{<<: *tiny, ports: ["8080"], labels: {{envctl.ready.http: ":8080/health"}}, command: {HTTP}}}
  tcp: {{<<: *tiny, ports: ["8080"], labels: {{envctl.ready.tcp: ":8080"}}, command: {SILENT}}}
  log: {{<<: *tiny, labels: {{envctl.ready.log: "^here we"}}, command: [bash, -c, 'echo here we go; sleep infinity']}}
  exec: {{<<: *tiny, labels: {{envctl.ready.exec: "test -e /tmp/up"}}, command: [bash, -c, '>/tmp/up; sleep infinity']}}
  check: {{<<: *tiny, healthcheck: {{test: "exit 0", interval: 1s}}, command: [sleep, infinity]}}
  plain: {{<<: *tiny, command: [sleep, infinity]}}
  job: {{<<: *tiny, labels: {{envctl.oneshot: "true"}}, command: [bash, -c, 'exit 0']}}
  extra: {{<<: *tiny, labels: {{envctl.profile: "extra, more"}}, command: [sleep, infinity]}}
  other: {{<<: *tiny, labels: {{envctl.profile: other}}, command: [bash, -c, 'exit 1']}}
  ended: {{<<: *tiny, labels: {{envctl.ignore: "true"}}, command: [bash, -c, 'exit 1']}}
  ignored: {{<<: *tiny, labels: {{envctl.ignore: "true", envctl.ready.exec: "exit 1"}}, command: [sleep, infinity]}}
""",
    )
    *events, result = scene.envctl("up", "--json", "--file", str(file), "--profile", "more").events
    ready = {"http", "tcp", "log", "exec", "check", "plain", "extra"}
    assert {event["service"] for event in events if event["event"] == "service.ready"} == {*ready, "job"}
    states = {name: service["state"] for name, service in result["services"].items()}
    assert states == {**dict.fromkeys(ready, "ready"), "job": "done", "ended": "exited", "ignored": "running"}
    listed = scene.envctl("ls", "--json").document["environments"]
    assert {result["state"], *(one["state"] for one in listed if one["name"] == scene.name)} == {"ready"}
    scene.envctl("wait", "--timeout", "30")
    scene.envctl("down")
    scene.is_gone()


def test_wrong_labels_are_all_told_before_anything_starts(scene: Scene) -> None:
    """In one error with exit code 2, each by its service and label."""
    file = compose_file(
        scene,
        """
  first: {<<: *tiny, ports: ["8080"], labels: {envctl.ready.http: health, envctl.ready.tcp: ":1"}}
  second: {<<: *tiny, labels: {envctl.ready.log: "(", envctl.redy.exec: "true", envctl.oneshot: maybe}}
""",
    )
    said = scene.envctl("up", "--json", "--file", str(file), "--service", "first", exits=2)
    found = str(failure(said)["found"])
    for place, words in {
        "services.first.labels.envctl.ready.http": "wants a port of the container and a path",
        "services.first.labels.envctl.ready.tcp": "port 1 of the container is not published",
        "services.second.labels.envctl.ready.log": "not a regular expression",
        "services.second.labels.envctl.redy.exec": "no such label; did you mean 'envctl.ready.exec'?",
        "services.second.labels.envctl.oneshot": "wants true or false, not 'maybe'",
    }.items():
        assert f"{place}: {words}" in found
    assert scene.resources() == []

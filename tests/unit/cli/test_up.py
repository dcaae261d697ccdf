"""`up` and `wait`: what is asked of the environment, and what is shown in each form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.errors import ServiceFailed
from envctl.model import ImageSource, PortPolicy
from envctl.reports import UpReport

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli, FakeEnvironment

EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("image.pulling", {"image": "postgres:1"}),
    ("image.pulling", {"image": "postgres:1", "bytes": 5_000_000, "total_bytes": 10_000_000}),
    ("port.moved", {"service": "redis", "wanted": 6379, "got": 6380, "holder": "redis-server (7)"}),
    ("service.started", {"service": "redis"}),
    ("service.waiting", {"service": "redis", "attempt": 1, "last_error": "refused"}),
    ("service.ready", {"service": "redis", "ms": 400, "address": "127.0.0.1:6380"}),
    ("something.new", {"service": "redis", "a": 1}),
]


def test_every_option_arrives_in_the_settings(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Nothing is lost between the command line and the environment."""
    Path("mine.yaml").write_text("services: {}")
    options = "--profile core --profile lake --service kafka --file mine.yaml --timeout 90s --images packages"
    more = "--ports auto --ttl 2h --fast --relay --recreate --keep-on-failure"
    assert envctl_run("up", *options.split(), *more.split()).code == 0
    settings = fake.settings
    assert (settings.name, settings.profiles, settings.services) == ("shop", ("core", "lake"), ("kafka",))
    assert settings.files == (Path.cwd() / "mine.yaml",)
    assert (settings.timeout, settings.ttl, settings.fast, settings.relay) == (90.0, 7200.0, True, True)
    assert (settings.images, settings.ports) == (ImageSource.PACKAGES, PortPolicy.AUTO)
    assert fake.calls == [("up", {"recreate": True, "keep_on_failure": True})]


def test_options_that_are_not_given_leave_the_file_in_force(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """`fast: true` in the file is not undone by an absent --fast, but by --no-fast."""
    Path("envctl.yaml").write_text("fast: true\ntimeout: 5\n")
    envctl_run("up")
    assert (fake.settings.fast, fake.settings.timeout) == (True, 5.0)
    envctl_run("up", "--no-fast")
    assert fake.settings.fast is False


def test_a_missing_compose_file_is_refused_before_anything_starts(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """With the option that named it."""
    ended = envctl_run("up", "--file", "nowhere.yaml")
    assert ended.code == 2
    assert "--file.0: no such compose file" in ended.err
    assert fake.calls == []


def test_in_a_pipe_up_writes_plain_lines_and_the_endpoints(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Progress once per step, then where things are, what cost what, and what to do next."""
    fake.events = EVENTS
    ended = envctl_run("up")
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    assert ended.out.count("pulling postgres:1") == 1
    assert "port 6379 is held by redis-server (7): using 6380" in ended.out
    assert "ready in 0.40 s at 127.0.0.1:6380" in ended.out
    assert "refused" not in ended.out
    assert "postgres  127.0.0.1:5432  postgres  1.23 s" in ended.out
    assert "          127.0.0.1:6381  tls" in ended.out
    assert "up in 2.50 s; slowest first: postgres 2.40 s, redis 0.40 s" in ended.out
    assert 'eval "$(envctl env --format shell)"' in ended.out


def test_verbose_shows_every_event(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Also those that have no sentence of their own."""
    fake.events = EVENTS
    out = envctl_run("up", "-v").out
    assert "not ready (attempt 1): refused" in out
    assert "5 of 10 MB" in out
    assert "something.new service=redis a=1" in out


def test_quiet_says_nothing_but_errors(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Success is silent, failure is not."""
    fake.events = EVENTS
    ended = envctl_run("up", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    fake.raises["up"] = ServiceFailed("redis", "exited with 1")
    assert "redis ready" in envctl_run("up", "-q").err


def test_json_is_one_object_per_line_and_ends_with_the_result(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """`at` and `event` in each; nothing else on stdout, nothing on stderr."""
    fake.events = EVENTS
    ended = envctl_run("up", "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.err == ""
    assert [line["event"] for line in lines] == [*(event for event, _ in EVENTS), "result"]
    assert all(line["at"].endswith("Z") for line in lines)
    result = lines[-1]
    assert (result["ok"], result["exit_code"], result["environment"], result["attached"]) == (True, 0, "shop", False)
    assert result["critical_path"] == ["postgres", "redis"]
    assert result["phases"]["postgres"] == {"started_ms": 310, "ready_ms": 2400, "attempts": 9}
    assert result["services"]["redis"]["ports"] == {"redis": 6380, "tls": 6381}


def test_an_attached_environment_is_said_to_be_one(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Nothing was started, so nothing cost anything."""
    fake.up_report = UpReport("shop", attached=True, ms=80)
    assert "already up and unchanged: attached in 0.08 s" in envctl_run("up").out


def test_the_next_steps_name_the_environment_that_was_named(envctl_run: Cli) -> None:
    """They can be pasted as they are."""
    out = envctl_run("--env", "other", "up").out
    assert "envctl --env other down" in out


def test_wait_asks_for_the_named_services_and_the_given_time(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Without a time the configured one holds."""
    assert envctl_run("wait", "--service", "redis", "--timeout", "5").code == 0
    assert envctl_run("wait").code == 0
    assert fake.calls == [("wait", (("redis",), 5.0)), ("wait", ((), 120.0))]


def test_wait_with_json_ends_with_the_status(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """In the form of all verbs that take time."""
    fake.events = EVENTS
    last = json.loads(envctl_run("wait", "--json").out.splitlines()[-1])
    assert (last["event"], last["ok"], last["state"]) == ("result", True, "ready")

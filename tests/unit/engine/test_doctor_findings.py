"""What the doctor concludes from what it read: states, exit codes, advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from envctl.engine import connect, doctor
from envctl.engine.doctor import kernel, sources
from envctl.engine.doctor.engine import advice, engine
from envctl.engine.doctor.finding import Finding, Level
from envctl.engine.doctor.host import state_disk
from envctl.engine.doctor.networks import networks
from envctl.engine.doctor.ports import publishing_containers
from envctl.engine.doctor.site import EngineFacts, Site
from envctl.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


class Api:
    """An engine's answers, at the seam to the docker SDK."""

    def __init__(self, **answers: Any) -> None:  # noqa: ANN401 - whatever the SDK returns
        self._answers = answers

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        return lambda *_args, **_options: self._answers[name]


def site(info: dict[str, Any] | None = None, **answers: Any) -> Site:  # noqa: ANN401 - as above
    """A site whose engine gives these answers."""
    address = connect.Address("unix:///var/run/docker.sock", "the system's engine")
    facts = EngineFacts(Api(**answers), {"Version": "28.0.0"}, info or {}, 0.0)  # type: ignore[arg-type]
    return Site(address, facts, None)


def finding(state: Level, exit_code: int = 1) -> Finding:
    """A finding of which only these two matter."""
    return Finding("x", state, "", "", exit_code=exit_code)


def test_all_well_ends_with_0() -> None:
    """Warnings do not fail a pipeline."""
    assert doctor.exit_code([finding(Level.OK), finding(Level.WARN, 4)]) == 0


def test_a_failure_beside_the_engine_ends_with_1() -> None:
    """A full disk, for one."""
    assert doctor.exit_code([finding(Level.OK), finding(Level.FAIL)]) == 1


def test_an_unusable_engine_ends_with_4_whatever_else_fails() -> None:
    """INTERFACE: 4 is "engine unreachable"."""
    assert doctor.exit_code([finding(Level.FAIL), finding(Level.FAIL, 4), finding(Level.FAIL)]) == 4


def test_a_check_that_breaks_is_a_finding_with_the_exceptions_text() -> None:
    """Not swallowed, and not the end of the others."""
    (broken,) = doctor._findings("clock", ValueError("no such month"))
    assert broken.state is Level.FAIL
    assert broken.found == "ValueError: no such month"


def test_a_check_that_raises_an_error_of_envctl_keeps_its_advice_and_exit_code() -> None:
    """The error already says all three things."""
    (failed,) = doctor._findings("engine", EngineError("an engine", "none", "start one"))
    assert (failed.found, failed.advice, failed.exit_code) == ("none", "start one", 4)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (connect.Address("tcp://127.0.0.1:1", "DOCKER_HOST"), "unset DOCKER_HOST"),
        (connect.Address("unix:///x", "docker context 'colima'", "colima"), "docker context use default"),
        (connect.Address("unix:///var/run/docker.sock", "the system's engine"), "envctl doctor --fix"),
    ],
)
def test_the_advice_follows_the_way_in_which_the_engine_was_chosen(address: connect.Address, words: str) -> None:
    """Installing an engine here does not help somebody who chose another one."""
    error = connect.unreachable(address, ConnectionRefusedError())
    assert words in advice(Site(address, None, error))


def test_a_socket_that_is_closed_to_us_is_about_rights_and_not_about_installing() -> None:
    """EACCES."""
    address = connect.Address("unix:///var/run/docker.sock", "the system's engine")
    said = advice(Site(address, None, connect.unreachable(address, PermissionError(13, "Permission denied"))))
    assert "docker" in said
    assert "sudo" in said


def test_an_engine_that_does_not_answer_is_reported_with_the_systems_own_words() -> None:
    """At the bottom of whatever chain of exceptions the SDK makes of it."""
    address = connect.Address("unix:///x", "the system's engine")
    error = connect.unreachable(address, ConnectionError())
    error.__cause__ = RuntimeError("wrapped")
    error.__cause__.__cause__ = FileNotFoundError(2, "No such file or directory")
    (found,) = engine(Site(address, None, error))
    assert "No such file or directory" in found.found
    assert "wrapped" not in found.found


def test_no_free_subnet_fails_and_a_few_warn() -> None:
    """One network for each environment."""
    pools = {"DefaultAddressPools": [{"Base": "10.10.0.0/23", "Size": 24}]}
    taken = [{"IPAM": {"Config": [{"Subnet": "10.10.0.0/24"}]}}, {"IPAM": {"Config": [{"Subnet": "10.10.1.0/24"}]}}]
    (none,), (one,) = networks(site(pools, networks=taken)), networks(site(pools, networks=taken[:1]))
    assert (none.state, none.data["free"]) == (Level.FAIL, 0)
    assert (one.state, one.data["free"]) == (Level.WARN, 1)


def test_the_container_that_publishes_a_port_is_named_with_its_environment() -> None:
    """Ports that are exposed and not published hold nothing."""
    listed = [
        {
            "Id": "1",
            "Names": ["/envctl-a-postgres-1"],
            "Labels": {"envctl.environment": "a"},
            "Ports": [{"PrivatePort": 5432, "PublicPort": 5432}],
        },
        {"Id": "2", "Names": ["/web"], "Labels": None, "Ports": [{"PrivatePort": 80}]},
    ]
    assert publishing_containers(site(containers=listed)) == {5432: ("envctl-a-postgres-1", "a")}


def test_a_state_folder_that_cannot_be_fails_and_names_the_variable_that_moves_it(tmp_path: Path) -> None:
    """A file stands where the folder should be; root would get past mere permissions."""
    (tmp_path / "file").touch()
    found = state_disk(tmp_path / "file" / "envctl")
    assert (found.state, found.exit_code) == (Level.FAIL, 2)
    assert "XDG_STATE_HOME" in found.advice


def test_a_state_folder_that_is_not_there_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    """And is not made by looking."""
    found = state_disk(tmp_path / "state" / "envctl")
    assert found.state is Level.OK
    assert not (tmp_path / "state").exists()


VERDICTS: dict[str, tuple[bool | None, str]] = dict.fromkeys(kernel.ABILITIES, (True, "created"))


def test_a_missing_back_end_with_a_substitute_is_no_reason_to_worry() -> None:
    """Many a kernel has none; NFQUEUE does the same."""
    found = kernel._finding("netem", {**VERDICTS, "netem": (False, "Specified qdisc kind is unknown.")}, "here")
    assert found.state is Level.OK
    assert "nfqueue does it here" in found.meaning


def test_a_missing_back_end_without_a_substitute_says_what_is_not_possible() -> None:
    """With the kernel's own words."""
    gone = {"netem": (False, "unknown qdisc"), "nfqueue": (False, "no target")}
    found = kernel._finding("netem", {**VERDICTS, **gone}, "here")
    assert (found.state, found.found) == (Level.WARN, "absent: unknown qdisc")


def test_a_back_end_without_the_tool_to_try_it_is_unknown_and_not_absent() -> None:
    """Nothing is guessed."""
    untried = {"htb": (None, "no tc here")}
    found = kernel._finding("htb", {**VERDICTS, **untried}, "here")
    assert (found.state, found.found) == (Level.WARN, "unknown: no tc here")


def outlook(missing: tuple[str, ...] = (), silent: dict[str, str] | None = None) -> sources.Outlook:
    """Where images can come from, with a base image that is there."""
    return sources.Outlook({"redis": "pulled (sha256:0)"}, missing, silent or {}, base=True)


def test_a_silent_registry_is_a_warning_that_names_its_host() -> None:
    """Building instead takes minutes."""
    found = sources._registry(outlook(("kafka",), {"docker.io": "no such host"}))
    assert (found.state, found.found) == (Level.WARN, "docker.io: no such host")


def test_a_registry_is_not_judged_when_no_image_is_missing() -> None:
    """Asking may count against a limit."""
    found = sources._registry(outlook())
    assert (found.state, found.data["asked"]) == (Level.OK, False)


def test_images_that_are_present_are_counted_by_where_they_came_from() -> None:
    """`1 of 2 present (1 pulled)`."""
    found = sources._images(outlook(("kafka",)))
    assert found.found == "1 of 2 present (1 pulled)"
    assert "kafka" in found.meaning

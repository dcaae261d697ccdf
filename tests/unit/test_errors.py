"""Every error says what was wanted, what was found and what to do, to people, programs and other processes."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest

from envctl import errors
from envctl.engine.compose import PortLost
from envctl.errors import (
    ConfigurationError,
    EnvctlError,
    LeakFound,
    NotReadyInTime,
    Problem,
    ServiceFailed,
    UnknownName,
    Unmet,
    redact,
)
from envctl.model import Leak

MADE_OTHERWISE: dict[type[EnvctlError], EnvctlError] = {
    UnknownName: UnknownName("profile", "cor", ["core", "lake"]),
    ConfigurationError: ConfigurationError([Problem("is not a number", "timeout", Path("envctl.yaml"), 3)]),
    ServiceFailed: ServiceFailed("postgres", "exited with code 1", ["FATAL: no", "bye"]),
    NotReadyInTime: NotReadyInTime(120, [Unmet("kafka", "connection refused", "running", ("starting",))]),
    LeakFound: LeakFound("environment 'shop' gone", [Leak("volume", "engine", "v", "in use")], "remove it"),
    PortLost: PortLost(5432),
}


def tree(root: type[EnvctlError] = EnvctlError) -> list[type[EnvctlError]]:
    """The whole tree of error classes."""
    return [root, *(below for child in root.__subclasses__() for below in tree(child))]


ALL = [MADE_OTHERWISE.get(kind) or kind("a thing", "another thing", "do this") for kind in tree()]
every = pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)


@every
def test_every_error_says_wanted_found_and_what_to_do(error: EnvctlError) -> None:
    """A person reads all three, in that order."""
    text = str(error)

    assert all([error.wanted, error.found, error.advice])
    assert text.index(error.wanted) < text.index("found: ") < text.index(error.advice)


@every
def test_every_error_is_data_for_programs(error: EnvctlError) -> None:
    """`--json` shows the same facts; everything in it can be written as JSON."""
    data = json.loads(json.dumps(error.data()))

    assert data["error"] == type(error).__name__
    assert data["exit_code"] == error.exit_code
    assert data["wanted"] == error.wanted
    assert data["advice"] == error.advice
    assert data["found"]


@every
def test_every_error_can_be_sent_to_another_process(error: EnvctlError) -> None:
    """Test runners that work with many processes pickle what was raised."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in the line itself

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.data() == error.data()


@every
def test_every_error_has_an_exit_code_of_the_interface(error: EnvctlError) -> None:
    """0 is success; the others mean what INTERFACE.md says of them."""
    assert error.exit_code in {1, 2, 3, 4, 130}


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        (["UsageError", "UnknownName", "ConfigurationError", "StateFolderError"], 2),
        (["LeakFound"], 3),
        (["EngineError"], 4),
        (["Interrupted"], 130),
        (["EnvctlError", "ImageError", "RegistryUnreachable", "RateLimited", "DigestMismatch", "DiskFull"], 1),
        (["BuildFailed", "PortTaken", "NoSuchEnvironment", "Busy", "ServiceFailed", "NotReadyInTime"], 1),
    ],
)
def test_exit_codes_are_those_of_the_interface(kinds: list[str], code: int) -> None:
    """1 failed, 2 usage or configuration, 3 leaks, 4 engine, 130 interrupted."""
    assert {getattr(errors, kind).exit_code for kind in kinds} == {code}


def test_the_tree_in_the_documentation_is_the_tree() -> None:
    """The drawing at the head of errors.py names every class with its exit code, and no other."""
    drawing = re.findall(r"^[ │├└─]*([A-Z]\w+) +(\d+)(?:  |$)", errors.__doc__ or "", re.MULTILINE)
    drawn = {name: int(code) for name, code in drawing}
    classes = {kind.__name__: kind.exit_code for kind in tree() if kind.__module__ == errors.__name__}

    assert drawn == classes


@pytest.mark.parametrize(
    ("name", "advice"),
    [("cor", "did you mean 'core'?"), ("xyz", "choose one of: core, lake")],
)
def test_an_unknown_name_comes_with_the_nearest(name: str, advice: str) -> None:
    """A typing error costs no look into the manual."""
    error = UnknownName("profile", name, ["lake", "core"])

    assert str(error).startswith(f"no profile is named '{name}'")
    assert error.advice == advice
    assert "core, lake" in error.found


def test_an_unknown_name_among_none_says_that_there_is_none() -> None:
    """An engine without any environment."""
    assert "none" in str(UnknownName("environment", "shop", []))


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("m", "k", Path("f.yaml"), 3), "f.yaml:3: k: m"),
        (Problem("m", "k", Path("f.yaml")), "f.yaml: k: m"),
        (Problem("m", "--timeout"), "--timeout: m"),
        (Problem("m"), "m"),
    ],
)
def test_a_problem_names_its_place(problem: Problem, text: str) -> None:
    """File, line, key: as far as they are known."""
    assert str(problem) == text


def test_all_problems_of_a_configuration_are_in_one_error() -> None:
    """Mended in one go."""
    error = ConfigurationError([Problem("first"), Problem("second")])

    assert "first" in str(error)
    assert "second" in str(error)


def test_every_unmet_condition_is_named_with_state_reason_and_log() -> None:
    """One error for all, for people and for programs."""
    unmet = [Unmet("kafka", "no broker", "running", ("line",)), Unmet("minio", "refused", "created")]
    error = NotReadyInTime(1.5, unmet)

    assert "kafka, minio ready within 1.5 s" in str(error)
    assert "kafka (running): no broker" in str(error)
    assert "| line" in str(error)
    assert error.data()["unmet"] == [
        {"service": "kafka", "state": "running", "last_error": "no broker", "log": ["line"]},
        {"service": "minio", "state": "created", "last_error": "refused", "log": []},
    ]


def test_a_failed_service_shows_its_last_lines() -> None:
    """The reason and the log stand apart for programs, together for people."""
    error = MADE_OTHERWISE[ServiceFailed]

    assert "exited with code 1\n         | FATAL: no\n         | bye" in str(error)
    assert error.data()["found"] == "exited with code 1"
    assert error.data()["log"] == ["FATAL: no", "bye"]


def test_redact_takes_every_secret_out_the_longest_first() -> None:
    """A secret that is part of another leaves no rest of it; an empty one changes nothing."""
    assert redact("a=word b=wordlong c=word", ["word", "wordlong", ""]) == "a=*** b=*** c=***"
    assert redact("nothing", []) == "nothing"

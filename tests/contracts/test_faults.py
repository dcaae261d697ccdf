"""Laws of the faults that need no engine: names, parameters, help, documentation, and why a service cannot have one."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envctl.catalog import FAULTS, SERVICES
from envctl.cli.verbs.chaos import fault_command
from envctl.faults.fault import Fault, options
from envctl.faults.values import read

if TYPE_CHECKING:
    from envctl.protocols import Service

PAGES = Path(__file__).parents[2] / "docs" / "chaos"
RESERVED = {
    "service",
    "for",
    "lasting",
    "hold",
    "detach",
    "seed",
    "replay",
    "duration",
    "list",
    "status",
    "heal",
    "run",
}
SECTIONS = ["What it does", "What a client sees", "What it needs", "How it heals", "What it does not test"]


@pytest.fixture(params=FAULTS.values(), ids=lambda fault: fault.name)
def fault(request: pytest.FixtureRequest) -> type[Fault]:
    """Each fault of the catalog in its turn."""
    found: type[Fault] = request.param
    return found


def test_a_fault_is_known_by_its_name_and_has_a_file_of_its_own(fault: type[Fault]) -> None:
    """`revoke-credentials` is RevokeCredentials in faults/revoke_credentials.py, or in a folder of its kind there."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", fault.name)
    assert fault.name not in RESERVED
    assert fault.__name__ == fault.name.title().replace("-", "")
    package, _, module = fault.__module__.rpartition(".")
    assert package in {"envctl.faults", "envctl.faults.network", "envctl.faults.ways"}
    assert module == fault.name.replace("-", "_")


def test_a_fault_says_what_it_does_in_a_line_and_at_length(fault: type[Fault]) -> None:
    """The line stands in the overview, the text in the help."""
    assert fault.summary.endswith(".")
    assert len(fault.summary) <= 75
    assert fault.__doc__
    assert "\n\n" in (inspect.getdoc(fault) or "")


def test_its_parameters_are_optional_typed_and_explained(fault: type[Fault]) -> None:
    """Without any it does something sensible, and what it has by itself could also have been typed."""
    for option in options(fault):
        assert option.help.endswith(".")
        assert option.name not in RESERVED
        if option.default != "":
            assert read(option.kind, option.default) == (option.default, ""), option.name
        assert option.choices is None or option.default in {"", *option.choices}


def test_it_can_be_written_down_and_made_again(fault: type[Fault]) -> None:
    """The journal holds it as JSON."""
    one = fault()
    assert fault(**json.loads(json.dumps(one.parameters()))) == one


def test_every_parameter_is_an_option_with_help(fault: type[Fault]) -> None:
    """Nobody writes options by hand."""
    shown = {flag for parameter in fault_command(fault).params for flag in parameter.opts}
    assert {option.flag for option in options(fault)} | {"--for", "--hold", "--detach", "--seed", "--replay"} <= shown


def test_a_service_can_have_it_or_is_told_why_not(fault: type[Fault], service: Service) -> None:
    """The reason names the service and what to use instead."""
    reason = fault.unfit(service)
    assert reason == "" or (service.name in reason and "use " in reason), reason


def test_some_service_can_have_it(fault: type[Fault]) -> None:
    """Else it does not belong into the catalog."""
    assert any(not fault.unfit(service) for service in SERVICES.values())


def test_it_has_a_page_with_every_option(fault: type[Fault]) -> None:
    """What it does, what the client sees, what it needs, how it heals, what it does not test."""
    page = (PAGES / f"{fault.name}.md").read_text()
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    assert {option.flag for option in options(fault)} <= set(re.findall(r"--[a-z-]+", page))
    assert f"({fault.name}.md)" in (PAGES / "README.md").read_text()


def test_its_page_has_every_word_that_a_service_takes(fault: type[Fault], service: Service) -> None:
    """Modes, moments, means: each stands in the page, and in the command's help."""
    page = (PAGES / f"{fault.name}.md").read_text()
    known = {word for words in fault.words(service).values() for word in words}
    assert known <= set(re.findall(r"`([a-z-]+)`", page)), service.name
    shown = " ".join(str(getattr(parameter, "help", "")) for parameter in fault_command(fault).params)
    assert all(word in shown for word in known)


def test_every_page_is_of_a_fault() -> None:
    """None is left of one that was renamed."""
    assert {page.stem for page in PAGES.glob("*.md")} == {"README", *FAULTS}

"""From a file, a name or a mapping to a scenario that is right; all that is wrong is said at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.catalog import FAULTS, SERVICES
from envctl.chaos.injecting import LONGEST, make
from envctl.errors import ConfigurationError, UnknownName
from envctl.scenarios import page as pages
from envctl.scenarios.building import Builder
from envctl.scenarios.finding import find
from envctl.scenarios.functions import STOP, Functions
from envctl.scenarios.probing import placeholders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.config.validation import Place
    from envctl.protocols import Service
    from envctl.scenarios.model import Hurt, Question, Scenario, Work
    from envctl.scenarios.page import Page

WANTED = "a valid scenario"
LASTS = 5.0
"""Seconds that a fault lasts where the file does not say."""


@dataclass(frozen=True)
class Loaded:
    """A scenario, its functions, and the page that it was read from."""

    scenario: Scenario
    functions: Functions
    page: Page


def load(
    what: str | Path | Mapping[str, Any],
    services: Mapping[str, Service] = SERVICES,
    folders: Sequence[Path] = (),
    *,
    functions: bool = True,
) -> Loaded:
    """The scenario of a name, a path or a mapping, for an environment with these services; nothing is hurt.

    Its Python files are loaded, unless `functions` is false: then nobody knows whether they are there.

    Raises:
        UnknownName: no scenario has that name.
        ConfigurationError: with every problem: file, line, key and what is wrong there.

    """
    if isinstance(what, str | Path):
        file = find(str(what), folders) if isinstance(what, str) else what
        return of_page(pages.read(file), file.stem, services, functions=functions)
    return of_page(pages.given(what), "scenario", services, functions=functions)


def of_page(
    page: Page, name: str, services: Mapping[str, Service] = SERVICES, *, functions: bool = True, folder: str = ""
) -> Loaded:
    """The scenario that stands on a page; its relative paths start at `folder`, else where it stands.

    Raises:
        ConfigurationError: with every problem.

    """
    if not page.whole:
        raise ConfigurationError(page.problems, WANTED)
    page.judge()
    everything = {**SERVICES, **services}
    builder = Builder(page, everything)
    scenario = builder.scenario(name)
    for hurt in scenario.hurts():
        _check_fault(page, hurt, everything)
    found = Functions(Path(folder) if folder else scenario.folder)
    if functions:
        _check_functions(page, found, builder.questions, builder.works)
    for question in builder.questions:
        _check_placeholders(page, question, everything)
    if page.problems:
        ordered = sorted(page.problems, key=lambda problem: problem.line)
        raise ConfigurationError(ordered, WANTED)
    return Loaded(scenario, found, page)


def lasting(hurt: Hurt, scenario: Scenario) -> float:
    """How many seconds a fault may be in force; one with steps of its own as long as the whole run."""
    if hurt.lasts is not None:
        return hurt.lasts
    return min(scenario.duration, LONGEST) if hurt.meanwhile else LASTS


def _check_fault(page: Page, hurt: Hurt, services: Mapping[str, Service]) -> None:
    """See that the catalog has the fault, that the service can have it, and that its parameters are possible."""
    place = hurt.place
    if hurt.fault not in FAULTS:
        page.unknown((*place, "fault"), "fault", hurt.fault, FAULTS)
    if hurt.service and hurt.service not in services:
        page.unknown((*place, "service"), "service", hurt.service, services)
    if hurt.fault not in FAULTS:
        return
    service = services.get(hurt.service)
    if service is not None and (reason := FAULTS[hurt.fault].unfit(service)):
        page.problem((*place, "fault"), f"not on {hurt.service}: {reason}")
        return
    try:
        fault, _ = make(hurt.fault, hurt.service, hurt.given, known=service)
    except UnknownName as error:
        known = [name.replace("_", "-") for name in error.known if name not in {"duration", "seed"}]
        page.unknown((*place, "with", error.name.replace("_", "-")), f"parameter of {hurt.fault}", error.name, known)
    except ConfigurationError as error:
        for problem in error.problems:
            page.problem((*place, "with", *filter(None, [problem.key.removeprefix("--")])), problem.message)
    else:
        for text in fault.problems(service) if service is not None else ():
            page.problem((*place, "with"), text)


def _check_functions(page: Page, functions: Functions, questions: Sequence[Question], works: Sequence[Work]) -> None:
    named: list[tuple[Place, str, Mapping[str, Any], tuple[str, ...]]]
    named = [(q.place, str(q.what), q.given, ()) for q in questions if q.kind == "python" and q.what]
    named += [(w.place, w.python, w.given, (STOP,)) for w in works if w.python]
    for place, reference, given, more in named:
        try:
            wrong = functions.takes(reference, given, more=more)
        except ValueError as error:
            wrong = str(error)
        if wrong:
            page.problem((*place, "python"), wrong)


def _check_placeholders(page: Page, question: Question, services: Mapping[str, Service]) -> None:
    """See that an address names services and ports that there are."""
    for service, port in placeholders(question):
        place = (*question.place, "http")
        if service not in services:
            page.unknown(place, "service", service, services)
        elif port and port not in services[service].ports:
            page.unknown(place, f"port of {service}", port, services[service].ports)

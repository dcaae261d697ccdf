"""Whether a scenario can be run here, before anything of it is done."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from envctl.chaos.injecting import make
from envctl.protocols import NotReady
from envctl.scenarios.clashing import Hold, clashes
from envctl.scenarios.reading import lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from envctl.config.validation import Place
    from envctl.errors import Problem
    from envctl.faults.fault import Fault
    from envctl.scenarios.model import Question, Scenario
    from envctl.scenarios.reading import Loaded
    from envctl.site import Site

_ASKED = {"sql": "postgres", "redis": "redis", "topic-lag": "kafka", "object": "minio"}
"""The service that a kind of probe asks."""


def needed(scenario: Scenario) -> tuple[str, ...]:
    """The services that it names, hurts or asks."""
    questions: list[Question] = [probe.question for probe in scenario.probes.values()]
    asked = [_ASKED[question.kind] for question in questions if question.kind in _ASKED]
    return tuple(dict.fromkeys([*scenario.services, *(hurt.service for hurt in scenario.hurts()), *asked]))


def missing(scenario: Scenario, services: Collection[str]) -> list[str]:
    """The services that it needs and that are not there."""
    return [name for name in needed(scenario) if name not in services]


def unhurt(scenario: Scenario) -> frozenset[str]:
    """The services that must be what they are by themselves when it begins: it names or hurts them, or says that they
    must be well again.
    """
    hurt = [hurt.service for hurt in scenario.hurts()]
    return frozenset([*scenario.services, *hurt, *(scenario.recovery.services or ())])


def obstacles(loaded: Loaded, site: Callable[[str], Site]) -> list[Problem]:
    """Every reason why a fault of it cannot be had of this engine and these servers, or not beside another of it."""
    holds: dict[Place, Hold] = {}
    for hurt in loaded.scenario.hurts():
        at, (fault, _) = site(hurt.service), make(hurt.fault, hurt.service, hurt.given)
        at.lasts = lasting(hurt, loaded.scenario)
        reasons = list(_reasons(fault, at))
        for reason in reasons:
            loaded.page.problem(hurt.place, f"{hurt}: {reason}")
        if not reasons:
            holds[hurt.place] = Hold(frozenset(fault.claims(at)), fault.silences)
    for hurt, reason in clashes(loaded.scenario.steps, holds):
        loaded.page.problem(hurt.place, f"{hurt}: {reason}")
    return loaded.page.problems


def _reasons(fault: Fault, site: Site) -> Iterator[str]:
    if reason := fault.obstacle(site):
        yield reason
    with suppress(NotReady):  # a server that does not answer is told by the probes
        yield from fault.problems_at(site)

"""Whether a scenario can be run here, before anything of it is done."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from envctl.chaos.injecting import make
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from envctl.errors import Problem
    from envctl.scenarios.model import Hurt, Question, Scenario
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


def obstacles(loaded: Loaded, site: Callable[[str], Site]) -> list[Problem]:
    """Every reason why a fault of it cannot be had of this engine and these servers."""
    for hurt in loaded.scenario.hurts():
        for reason in _reasons(hurt, site(hurt.service)):
            loaded.page.problem(hurt.place, f"{hurt}: {reason}")
    return loaded.page.problems


def _reasons(hurt: Hurt, site: Site) -> Iterator[str]:
    fault, _ = make(hurt.fault, hurt.service, hurt.given)
    if reason := fault.obstacle(site):
        yield reason
    with suppress(NotReady):  # a server that does not answer is told by the probes
        yield from fault.problems_at(site)

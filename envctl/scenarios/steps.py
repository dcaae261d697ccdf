"""The steps of a scenario: each has one verb, and beside it what belongs to that verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.catalog import FAULTS
from envctl.config.durations import seconds
from envctl.errors import UsageError
from envctl.faults.fault import options
from envctl.scenarios.model import Background, Chance, Hurt, Labour, Serial, Step, Until, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.config.validation import Place
    from envctl.scenarios.building import Builder
    from envctl.scenarios.model import Condition, Probe

_BESIDE: dict[str, tuple[str, ...]] = {
    "fault": ("service", "with", "for", "while"),
    "parallel": (),
    "serial": (),
    "random": (),
    "wait": (),
    "until": (),
    "run": ("background",),
    "repeat": ("steps",),
}
VERBS = tuple(_BESIDE)


class Steps:
    """Reads steps."""

    def __init__(self, builder: Builder, probes: Mapping[str, Probe]) -> None:
        self._builder, self._page, self._probes = builder, builder.page, probes

    def all(self, parts: Any) -> Serial:  # noqa: ANN401
        """The scenario's own."""
        return Serial(("steps",), steps=self._each(parts, ("steps",)))

    def _each(self, parts: Any, place: Place) -> tuple[Step, ...]:  # noqa: ANN401
        found = enumerate(parts if isinstance(parts, list) else ())
        made = [self._step(part, (*place, str(number))) for number, part in found if isinstance(part, dict)]
        return tuple(step for step in made if step is not None)

    def _step(self, part: dict[str, Any], place: Place) -> Step | None:
        verbs = [verb for verb in VERBS if verb in part]
        if len(verbs) != 1:
            if not self._page.is_wrong(place):
                found = " and ".join(verbs) or "none"
                self._page.problem(place, f"must have exactly one of {', '.join(VERBS)}; found {found}")
            return None
        verb = verbs[0]
        for key in part.keys() - {verb, "when", *_BESIDE[verb]}:
            if beside := next((known for known, keys in _BESIDE.items() if key in keys), None):
                self._page.problem((*place, key), f"stands beside `{beside}`, and this is `{verb}`")
        when = self._builder.condition(part["when"], (*place, "when"), self._probes) if "when" in part else None
        if part[verb] is None:
            return None
        step: Step = getattr(self, f"_{verb}")(part, place, when)
        return step

    def _fault(self, part: dict[str, Any], place: Place, when: Condition | None) -> Hurt:
        if "service" not in part:
            self._page.problem(place, "'service' is missing: a service's name, such as postgres")
        given = {_parameter(part["fault"], key): value for key, value in (part.get("with") or {}).items()}
        lasts = self._page.seconds(part, (*place, "for"), 0.0) or None
        meanwhile = self._each(part.get("while"), (*place, "while"))
        return Hurt(place, when, part["fault"], part.get("service") or "", given, lasts, meanwhile)

    def _parallel(self, part: dict[str, Any], place: Place, when: Condition | None) -> Serial:
        return Serial(place, when, self._each(part["parallel"], (*place, "parallel")), at_once=True)

    def _serial(self, part: dict[str, Any], place: Place, when: Condition | None) -> Serial:
        return Serial(place, when, self._each(part["serial"], (*place, "serial")))

    def _repeat(self, part: dict[str, Any], place: Place, when: Condition | None) -> Serial:
        if "steps" not in part:
            self._page.problem(place, "'steps' is missing: what is repeated")
        return Serial(place, when, self._each(part.get("steps"), (*place, "steps")), times=part["repeat"])

    def _random(self, part: dict[str, Any], place: Place, when: Condition | None) -> Chance:
        given = part["random"]
        faults = self._each(given.get("faults"), (*place, "random", "faults"))
        for step in faults:
            if not isinstance(step, Hurt):
                self._page.problem(step.place, "must be a fault")
        low, high = self._between(given.get("between"), (*place, "random", "between"))
        return Chance(place, when, faults, given.get("count") or 1, low, high)

    def _between(self, text: Any, place: Place) -> tuple[float, float]:  # noqa: ANN401
        if not isinstance(text, str):
            return 0.0, 0.0
        try:
            low, high = map(seconds, text.split(".."))
        except (UsageError, ValueError):
            self._page.problem(place, f"must be two times, such as 1s..3s; found {text!r}")
            return 0.0, 0.0
        if low > high:
            self._page.problem(place, f"the shortest comes first; found {text!r}")
        return low, high

    def _wait(self, part: dict[str, Any], place: Place, when: Condition | None) -> Wait:
        return Wait(place, when, self._page.seconds(part, (*place, "wait"), 1.0))

    def _until(self, part: dict[str, Any], place: Place, when: Condition | None) -> Until:
        return Until(place, when, self._builder.condition(part["until"], (*place, "until"), self._probes))

    def _run(self, part: dict[str, Any], place: Place, when: Condition | None) -> Labour:
        kind = part.get("background")
        return Labour(place, when, self._builder.work(part["run"], (*place, "run")), Background(kind) if kind else None)


def _parameter(fault: str, written: str) -> str:
    """The parameter's own name, for that of any of its options: `from` is `peer`."""
    known = options(FAULTS[fault]) if fault in FAULTS else ()
    also = next((option.name for option in known if option.also == f"--{written}"), written)
    return also.replace("-", "_")

"""From values to a scenario; every part is read as far as it goes, so that all problems are found at once."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from envctl.catalog import PROFILES
from envctl.scenarios.model import DURATION, Condition, Probe, Question, Recovery, Role, Rule, Scenario, Work
from envctl.scenarios.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from envctl.config.validation import Place
    from envctl.scenarios.page import Page

KINDS = ("sql", "redis", "http", "topic-lag", "object", "command", "python")
_OF_KIND = {"status": "http", "exit_code": "command", "exists": "object", "sha256": "object"}


class Builder:
    """Makes a scenario of a page; what is wrong is noted there."""

    def __init__(self, page: Page, services: Collection[str]) -> None:
        self.page, self.services = page, services
        self.questions: list[Question] = []
        self.works: list[Work] = []

    def scenario(self, name: str) -> Scenario:
        """All of it, as far as it is right."""
        values, page = self.page.values, self.page
        probes = {key: self._probe(key, part) for key, part in _mapping(values.get("probes")).items() if part}
        steps = Steps(self, probes).all(values.get("steps"))
        return Scenario(
            name=values.get("name") or name,
            probes=probes,
            steps=steps,
            file=page.file,
            description=values.get("description") or "",
            services=self._needed(values),
            seed=values.get("seed"),
            duration=page.seconds(values, ("duration",), DURATION),
            prepare=self._works(values, "prepare"),
            cleanup=self._works(values, "cleanup"),
            rules=tuple(self._rules(values, probes)),
            recovery=self._recovery(_mapping(values.get("recovery")), probes),
            document=page.document,
            digest=page.digest,
        )

    def question(self, part: Mapping[str, Any], place: Place) -> Question:
        """What is asked at `place`: exactly one kind."""
        kinds = [kind for kind in KINDS if kind in part]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none"
            self.page.problem(place, f"must have exactly one of {', '.join(KINDS)}; found {found}")
        kind = kinds[0] if kinds else ""
        expect = _mapping(part.get("expect"))
        self._check_expected(kind, expect, (*place, "expect"))
        if "with" in part and kind != "python":
            self.page.problem((*place, "with"), "stands beside `python` only")
        what = part.get(kind)
        if kind in ("redis", "command") and what is not None:
            what = self.words(what, (*place, kind))
        question = Question(
            place=place,
            kind=kind,
            what=what,
            given=_mapping(part.get("with")),
            expect=expect,
            timeout=self.page.seconds(part, (*place, "timeout"), 5.0),
            max_seconds=part.get("max_seconds"),
        )
        self.questions.append(question)
        return question

    def condition(self, part: Any, place: Place, probes: Mapping[str, Probe]) -> Condition:  # noqa: ANN401
        """A named probe, or a question of its own."""
        part = _mapping(part)
        within = self.page.seconds(part, (*place, "within"), 30.0)
        name = part.get("probe")
        if not isinstance(name, str):
            return Condition(self.question(part, place), within)
        for key in part.keys() - {"probe", "within"}:
            self.page.problem((*place, key), "stands in `probes`, where the probe is")
        if name not in probes:
            self.page.unknown((*place, "probe"), "probe", name, probes)
            return Condition(Question(place, "", None), within, name)
        return Condition(probes[name].question, within, name)

    def work(self, part: Any, place: Place) -> Work:  # noqa: ANN401
        """A function or a command."""
        part = _mapping(part)
        if len(part.keys() & {"python", "command"}) != 1:
            self.page.problem(place, "must have exactly one of python, command")
        if "with" in part and "python" not in part:
            self.page.problem((*place, "with"), "stands beside `python` only")
        command = part.get("command")
        words = self.words(command, (*place, "command")) if command is not None else ()
        within = self.page.seconds(part, (*place, "within"), 60.0)
        work = Work(place, part.get("python") or "", words, _mapping(part.get("with")), within)
        self.works.append(work)
        return work

    def words(self, value: Any, place: Place) -> tuple[str, ...]:  # noqa: ANN401
        """A command as its words."""
        if not isinstance(value, str):
            return tuple(map(str, value))
        try:
            found = tuple(shlex.split(value))
        except ValueError as error:
            self.page.problem(place, f"cannot be taken apart: {error}")
            return ()
        if not found:
            self.page.problem(place, "has no words")
        return found

    def _probe(self, name: str, part: Any) -> Probe:  # noqa: ANN401
        place, part = ("probes", name), _mapping(part)
        roles = frozenset(Role(role) for role in part.get("roles") or ("before", "after") if role)
        for key in ("every", "tolerate"):
            if key in part and Role.DURING not in roles:
                self.page.problem((*place, key), "has no meaning without the role `during`")
        every = self.page.seconds(part, (*place, "every"), 1.0)
        return Probe(name, self.question(part, place), roles, every, part.get("tolerate") or 0)

    def _check_expected(self, kind: str, expect: Mapping[str, Any], place: Place) -> None:
        for key in expect:
            if kind and _OF_KIND.get(key, kind) != kind:
                self.page.problem((*place, key), f"is for `{_OF_KIND[key]}`, and this is `{kind}`")
        equals = expect.get("equals")
        if "tolerance" in expect and (not isinstance(equals, int | float) or isinstance(equals, bool)):
            self.page.problem((*place, "tolerance"), "stands beside `equals`, which must be a number")
        low = max((expect[key] for key in ("at_least", "more_than") if _is_number(expect.get(key))), default=None)
        high = min((expect[key] for key in ("at_most", "less_than") if _is_number(expect.get(key))), default=None)
        if low is not None and high is not None and low > high:
            self.page.problem(place, f"nothing is both above {low:g} and below {high:g}")
        if isinstance(pattern := expect.get("matches"), str):
            try:
                re.compile(pattern)
            except re.error as error:
                self.page.problem((*place, "matches"), f"is no regular expression: {error}")

    def _needed(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The services that it says it needs."""
        found = list(PROFILES.get(profile, ())) if (profile := values.get("profile")) else []
        if profile and profile not in PROFILES:
            self.page.unknown(("profile",), "profile", profile, PROFILES)
        return tuple(dict.fromkeys([*found, *self._services(values, ("services",))]))

    def _services(self, part: Mapping[str, Any], place: Place) -> tuple[str, ...]:
        named = [(number, name) for number, name in enumerate(part.get(place[-1]) or ()) if name]
        for number, name in named:
            if name not in self.services:
                self.page.unknown((*place, str(number)), "service", name, self.services)
        return tuple(name for _, name in named)

    def _works(self, values: Mapping[str, Any], key: str) -> tuple[Work, ...]:
        return tuple(
            self.work(part, (key, str(number))) for number, part in enumerate(values.get(key) or ()) if part is not None
        )

    def _rules(self, values: Mapping[str, Any], probes: Mapping[str, Probe]) -> list[Rule]:
        found = []
        for number, part in enumerate(values.get("abort_when") or ()):
            place, name = ("abort_when", str(number), "probe"), _mapping(part).get("probe")
            if not isinstance(name, str):
                continue
            if name not in probes:
                self.page.unknown(place, "probe", name, probes)
            elif Role.DURING not in probes[name].roles:
                self.page.problem(place, f"probe {name!r} is not asked `during` the steps: add that role")
            found.append(Rule(name, part.get("fails") or 1))
        return found

    def _recovery(self, part: Mapping[str, Any], probes: Mapping[str, Probe]) -> Recovery:
        within = self.page.seconds(part, ("recovery", "within"), 60.0)
        services = self._services(part, ("recovery", "services")) if "services" in part else None
        names = tuple(name for name in part.get("probes") or () if name) if "probes" in part else None
        for number, name in enumerate(names or ()):
            if name not in probes:
                self.page.unknown(("recovery", "probes", str(number)), "probe", name, probes)
        return Recovery(within, services, names)


def _mapping(value: Any) -> dict[str, Any]:  # noqa: ANN401
    return value if isinstance(value, dict) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

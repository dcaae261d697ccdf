"""Which key differs from what its rule says: the rule's rows are made again, and asked for one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.services.redis.seeding import patterns
from envctl.services.redis.seeding.connection import Refusal
from envctl.services.redis.seeding.footprint import BLOCK, Footprint
from envctl.services.redis.seeding.scanning import found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envctl.services.redis.seeding.connection import Connection, Reply
    from envctl.services.redis.seeding.rules import Rule

    Question = tuple[tuple[str, str], list[str], Any]
    """What is asked for (key, and member or field), the command that asks, and the reply that is right."""

_REMEMBERED = 1000
_LISTED = 200_000
"""Keys up to which those too many are found by name."""

_LONGEST = 200
_COUNTED = ("rows", "members", "types")


class Comparison:
    """Of what these rules make with what is there. Keys that files of commands write are left out of it."""

    def __init__(self, redis: Connection, rules: Sequence[Rule], footprint: Footprint) -> None:
        self._redis, self._rules = redis, rules
        self._written = {key.decode("utf-8", "replace") for keys in footprint.files.values() for key in keys}

    def difference(self, recorded: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
        """The first difference in words; empty where there is none."""
        for target in [*recorded, *(name for name in measured if name not in recorded)]:
            was, now = recorded.get(target), measured.get(target)
            if was != now:
                mine = [rule for rule in self._rules if target in map(patterns.shown, rule.patterns)]
                exact = self.wrong(mine) or self._extra(mine, target, now)
                return f"redis {target}: " + "; ".join(filter(None, [_counts(was, now), exact]))
        return ""

    def wrong(self, rules: Sequence[Rule]) -> str:
        """The first row whose key, member or field is not as made; what a later row overwrites does not count."""
        wrong: dict[tuple[str, str], str] = {}
        places: dict[str, int] = {}
        ends = {bool(rule.spec.ttl) for rule in rules}
        must_end = ends.pop() if len(ends) == 1 else None
        for rule in rules:
            for questions in _questions(rule, places, must_end):
                replies = self._redis.ask_all([question[1] for question in questions])
                for (what, command, wanted), reply in zip(questions, replies, strict=True):
                    said = _said(command, reply)
                    if said == wanted or what[0] in self._written:
                        wrong.pop(what, None)
                    elif what in wrong or len(wrong) < _REMEMBERED:
                        wrong[what] = f"key {what[0]!r}{what[1]}: wanted {_shown(wanted)}, found {_shown(said)}"
        return next(iter(wrong.values()), "")

    def _extra(self, rules: Sequence[Rule], target: str, now: Mapping[str, Any] | None) -> str:
        """A key that no rule makes, where there are few enough to remember all."""
        if not rules or not now or max(now["rows"], sum(rule.relation_rows for rule in rules)) > _LISTED:
            return ""
        made = set(self._written)
        for rule in rules:
            for chunk in range(rule.chunks):
                made.update(rule.rows_of(chunk)[0].keys.to_pylist())
        pattern = next(p for rule in rules for p in rule.patterns if patterns.shown(p) == target)
        names = (key.decode("utf-8", "replace") for _, key in found(self._redis, [pattern]))
        extra = next((name for name in names if name not in made), "")
        return f"key {extra!r} was not loaded" if extra else "one of the keys holds more than was loaded"


def _counts(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    """Which numbers differ."""
    if was is None or now is None:
        return "was not loaded" if was is None else "is not there"
    differing = [name for name in _COUNTED if was.get(name) != now.get(name)]
    if not differing:
        return "as many keys as were loaded, with other content"
    return ", ".join(f"{name} {was.get(name)} loaded, {now.get(name)} there" for name in differing)


def _questions(rule: Rule, places: dict[str, int], ends: bool | None) -> Iterator[list[Question]]:
    """What to ask about a rule's rows; `ends`: whether its keys must have a time to live, None: either."""
    for chunk in range(rule.chunks):
        rows, _ = rule.rows_of(chunk)
        fields = {name: _listed(values.to_pylist(), there) for name, (values, there) in rows.fields.items()}
        every: list[Question] = []
        for row, key in enumerate(rows.keys.to_pylist()):
            every += _of_row(rule.spec.type, key, {name: values[row] for name, values in fields.items()}, places)
            if ends is not None:
                every.append(((key, ", whether it has a time to live"), ["PTTL", key], ends))
        yield from (every[at : at + BLOCK] for at in range(0, len(every), BLOCK))


def _of_row(kind: str, key: str, fields: dict[str, str | None], places: dict[str, int]) -> list[Question]:
    """What to ask about one row, by its rule's type."""
    member = fields.get("member") or ""
    if kind == "string":
        return [((key, ""), ["GET", key], fields["value"])]
    if kind == "hash":
        return [((key, f", field {n!r}"), ["HGET", key, n], v) for n, v in fields.items() if v is not None]
    if kind == "set":
        return [((key, f", member {member!r}"), ["SISMEMBER", key, member], 1)]
    if kind == "zset":
        return [((key, f", score of {member!r}"), ["ZSCORE", key, member], float(fields["score"] or 0))]
    if kind == "list":
        place = places[key] = places.get(key, -1) + 1
        return [((key, f", element {place}"), ["LINDEX", key, str(place)], member)]
    number = fields["id"] or ""
    entry = [part for name, value in fields.items() if name != "id" and value is not None for part in (name, value)]
    return [((key, f", entry {number}"), ["XRANGE", key, number, number], entry)]


def _said(command: Sequence[str], reply: Reply) -> Any:  # noqa: ANN401 - as Redis answers
    """A reply as the questions put it."""
    if isinstance(reply, Refusal):
        return str(reply)
    if command[0] == "PTTL":
        return reply >= 0
    if isinstance(reply, bytes):
        return float(reply) if command[0] == "ZSCORE" else reply.decode("utf-8", "replace")
    if isinstance(reply, list):
        return [part.decode("utf-8", "replace") for part in reply[0][1]] if reply else None
    return reply


def _listed(values: list[str], there: Any) -> list[str | None]:  # noqa: ANN401 - flags or None
    return list(values) if there is None else [v if yes else None for v, yes in zip(values, there, strict=True)]


def _shown(value: Any) -> str:  # noqa: ANN401 - as Redis answers
    """A value in an error: short."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"

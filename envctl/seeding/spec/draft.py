"""A dataset while it is read: what the schema has judged, the problems so far, the files, what is to be tried."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envctl.config.validation import linked, nearest, schema, violations
from envctl.errors import Problem
from envctl.seeding.scale import below

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from envctl.config.validation import Place
    from envctl.seeding.spec.sheet import Sheet

SMALLEST_OBJECT = 4096
"""Bytes that an object keeps at any scale: room for every format and a few records."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An expression to be tried: where it stands, over which relation, which kinds and values it may have.

    `decides`: an object's bytes or name depend on it, so that it cannot depend on the object's facts.
    """

    place: Place
    relation: str
    source: str
    kinds: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    decides: bool = False


@dataclass
class Draft:
    """What is read so far. Every part is read as far as it goes, so that all problems are found at once."""

    sheet: Sheet
    scale: float = 1.0
    files: dict[Path, None] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    relations: set[str] = field(default_factory=set)
    open_relations: set[str] = field(default_factory=set)
    _wrong: set[Place] = field(default_factory=set)
    _outgrown: list[float] = field(default_factory=list)
    """For each problem that a smaller scale would not have, the scale that would fit."""

    def judge(self) -> None:
        """Hold the values against the schema, and take out what breaks it."""
        for place, message in list(violations(self.sheet.values, linked(schema("dataset")))):
            self.problem(place, message)
            if message.startswith(("must ", "unknown ")):  # else something is missing, and nothing is to be taken out
                _blank(self.sheet.values, place)

    def problem(self, place: Place, message: str) -> None:
        """Note what is wrong at `place`."""
        self._wrong.add(place)
        self.sheet.problem(place, message)

    def too_many(self, place: Place, message: str, found: int, most: int) -> None:
        """Note that something is more than the `most` that may be, as it would not be at a smaller scale."""
        self._outgrown.append(self.scale * most / found)
        self.problem(place, message)

    def advice(self) -> str:
        """What to do, where it is not to mend the file: load less, when nothing is wrong but the scale."""
        if not self._outgrown or len(self._outgrown) < len(set(self.sheet.problems)):
            return ""
        return f"load less of it: --scale {below(min(self._outgrown)):g} fits; nothing was changed"

    def wrong_in(self, file: Path, place: Place, line: int, message: str) -> None:
        """Note what is wrong in a line of a file that is named at `place`."""
        self._wrong.add(place)
        self.sheet.problems.append(Problem(message, ".".join(place), file, line))

    def is_wrong(self, *places: Place) -> bool:
        """Whether a problem is known at one of these very places."""
        return any(place in self._wrong for place in places)

    def part(self, *place: str) -> dict[str, Any]:
        """The mapping at `place`, empty where there is none."""
        found: Any = self.sheet.values
        for key in place:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def each(self, part: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Any]]:
        """The items, with their places, of what may be a list, a mapping by name, or a single item."""
        found = part.get(place[-1])
        if not isinstance(found, dict | list):
            return iter([] if found is None else [(place, found)])
        named = found.items() if isinstance(found, dict) else enumerate(found)
        return (((*place, str(key)), item) for key, item in named if item is not None)

    def file(self, place: Place, written: str) -> Path | None:
        """The file that is named at `place`; None, and a problem, where there is none."""
        path = self.sheet.path(place, written)
        if not path.is_file():
            self.problem(place, f"{'is a folder' if path.is_dir() else 'no such file'}: {path}")
            return None
        if not os.access(path, os.R_OK):
            self.problem(place, f"cannot be read: {path}")
            return None
        self.files[path] = None
        return path

    def paths(self, part: Mapping[str, Any], place: Place) -> tuple[Path, ...]:
        """The files of a key that names one or several."""
        found = [self.file(at, written) for at, written in self.each(part, place)]
        return tuple(path for path in found if path)

    def relation(self, part: Mapping[str, Any], place: Place, *, opened: bool = False) -> str:
        """The relation that is named at `place`; empty, with a problem, where there is none of that name or kind."""
        name = part.get(place[-1])
        if not isinstance(name, str):
            return ""
        if name not in self.relations:
            hint = nearest(name, sorted(self.relations)) if self.relations else "`generate` has none"
            self.problem(place, f"no relation is named {name!r}; {hint}")
            return ""
        if (name in self.open_relations) != opened:
            wanted = "must be an open one" if opened else "is open: only the content of objects comes from it"
            self.problem(place, f"relation {name!r} {wanted}")
            return ""
        return name

    def expression(
        self,
        part: Mapping[str, Any],
        place: Place,
        relation: str,
        kinds: tuple[str, ...] = (),
        among: Sequence[str] = (),
        *,
        decides: bool = False,
    ) -> str:
        """The expression at `place`, noted to be tried; empty where there is none."""
        if part.get(place[-1]) in (None, ""):
            return ""
        source = text(part[place[-1]])
        if relation:
            self.trials.append(Trial(place, relation, source, kinds, tuple(among), decides))
        return source

    def expressions(self, part: Mapping[str, Any], place: Place, relation: str) -> dict[str, str]:
        """The expressions of a mapping, noted to be tried."""
        found = part.get(place[-1])
        names = found if isinstance(found, dict) else {}
        return {name: self.expression(names, (*place, name), relation) for name in names}

    def scaled(self, rows: int) -> int:
        """Rows at this scale."""
        return max(1, round(rows * self.scale))

    def scaled_size(self, size: int) -> int:
        """An object's bytes at this scale."""
        return max(SMALLEST_OBJECT, round(size * self.scale))


def text(value: object) -> str:
    """An expression as text: YAML makes numbers and truths of some. Empty for none."""
    return "" if value is None else str(value)


def _blank(values: Any, place: Place) -> None:  # noqa: ANN401 - mappings and lists
    """Take a value out. What it stood under stays, so that nobody takes it for forgotten."""
    *above, last = place
    for key in above:
        values = values[int(key)] if isinstance(values, list) else values[key]
    if isinstance(values, list):
        values[int(last)] = None
    elif place:
        values[last] = None

"""A scenario's text while it is read: its values, the line of each, and every problem."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from envctl.config.durations import seconds
from envctl.config.validation import linked, nearest, schema, violations
from envctl.config.yaml_file import Form, parse
from envctl.errors import Problem, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from envctl.config.validation import Place

_FORM = Form(
    deepest=60,
    verbatim=lambda _: False,
    example="steps: [{fault: pause, service: redis, for: 2s}]",
    loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
)


@dataclass
class Page:
    """What stands in a file, or in a mapping that a program gave. Not `whole`: it cannot be read at all."""

    values: dict[str, Any]
    file: Path | None = None
    lines: Mapping[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    _wrong: set[Place] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.document = copy.deepcopy(self.values)

    @property
    def whole(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self.values or not self.problems)

    @property
    def digest(self) -> str:
        """The same for the same words, whatever the layout."""
        text = json.dumps(self.document, sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def problem(self, place: Place, message: str) -> None:
        """Note what is wrong at `place`, with the line of it, or of what is around it."""
        self._wrong.add(place)
        around = (self.lines.get(place[:end], 0) for end in range(len(place), 0, -1))
        self.problems.append(Problem(message, ".".join(place), self.file, next(filter(None, around), 0)))

    def judge(self) -> None:
        """Hold the values against the schema, and take out what breaks it."""
        for place, message in list(violations(self.values, linked(schema("scenario")))):
            self.problem(place, message)
            if place and message.startswith(("must ", "unknown ")):
                _blank(self.values, place)

    def is_wrong(self, place: Place) -> bool:
        """Whether a problem is known there, or below."""
        return any(wrong[: len(place)] == place for wrong in self._wrong)

    def unknown(self, place: Place, kind: str, name: str, among: Collection[str]) -> None:
        """Note a name that is none."""
        hint = nearest(name, sorted(among)) if among else "there is none"
        self.problem(place, f"no {kind} is named {name!r}; {hint}")

    def seconds(self, part: Mapping[str, Any], place: Place, default: float) -> float:
        """The duration at `place`."""
        value = part.get(place[-1])
        if value is None:
            return default
        try:
            found = seconds(value)
        except UsageError as error:
            self.problem(place, f"must be {error.wanted}; found {value!r}")
            return default
        if found > 0:
            return found
        self.problem(place, f"must be a time above 0; found {value!r}")
        return default


def read(file: Path) -> Page:
    """A file; whatever keeps it from being read is in `problems`."""
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        return Page({}, file, problems=[Problem(f"is no UTF-8 text (byte {error.start})", file=file)])
    except OSError as error:
        return Page({}, file, problems=[Problem(f"cannot be read: {error.strerror}", file=file)])
    if not text.strip():
        return Page({}, file, problems=[Problem("is empty", file=file)])
    values, lines, problems = parse(text, file, _FORM)
    page = Page(values, file, lines, problems)
    if not text.endswith("\n"):
        # Half of a file is often a valid one; who wrote the other half meant it.
        message = "ends in the middle of its last line: is it whole? (a whole file ends with a newline)"
        page.problems.append(Problem(message, "", file, text.count(os.linesep) + 1))
    return page


def given(mapping: Mapping[str, Any]) -> Page:
    """What a program gave instead of a file."""
    return Page(copy.deepcopy(dict(mapping)))


def _blank(values: Any, place: Place) -> None:  # noqa: ANN401 - mappings and lists
    """Take a value out; what it stood in stays, so that nobody takes it for forgotten."""
    *above, last = place
    for key in above:
        values = values[int(key)] if isinstance(values, list) else values.get(key)
        if values is None:
            return
    if isinstance(values, list):
        values[int(last)] = None
    else:
        values[last] = None

"""A dataset's file and all that it extends as one mapping, in which every key knows the file and line it came from."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from envctl.config.validation import nearest
from envctl.config.yaml_file import Form, parse
from envctl.errors import Problem
from envctl.seeding.spec.finding import available, is_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from envctl.config.validation import Place
    from envctl.seeding.spec.model import Dataset


def _verbatim(place: Place) -> bool:
    """Words, and the settings of topics, are text: `[no, yes]` are two words, `retention.ms: 0700` is Kafka's 700."""
    return (place[0] == "words" and len(place) == 3) or _is_setting(place)  # noqa: PLR2004 - words.NAME.N


def _is_setting(place: Place) -> bool:
    return place[:2] == ("kafka", "topics") and place[3:4] == ("config",) and len(place) == 5  # noqa: PLR2004


_NOTHING = frozenset({None, "", "~", "null", "Null", "NULL"})
"""What YAML writes for nothing, where all else is text: it takes a setting away."""


_FORM = Form(
    deepest=20,
    verbatim=_verbatim,
    example="description: what it is for",
    # libyaml's parser, where PyYAML has it, is ten times as fast: 6 ms for 400 lines (measured).
    loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was written."""

    file: Path
    line: int


@dataclass
class Sheet:
    """The merged values; `files` are the dataset's own file and those that it extends, in that order.

    Not `whole`: a file of it cannot be read at all, so that what else is said of it would be wrong.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Place, Origin] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True

    def origin(self, place: Place) -> Origin:
        """Where `place`, or the nearest thing around it, was written."""
        for end in range(len(place), 0, -1):
            if place[:end] in self.origins:
                return self.origins[place[:end]]
        return Origin(self.files[0], 0)

    def problem(self, place: Place, message: str) -> None:
        """Note what is wrong at `place`."""
        origin = self.origin(place)
        self.problems.append(Problem(message, ".".join(place), origin.file, origin.line))

    def path(self, place: Place, written: str) -> Path:
        """The absolute path that is written at `place`: relative to the file in which it is."""
        folder = self.origin(place).file.parent
        return type(folder)(os.path.normpath(folder / type(folder)(written).expanduser()))


@dataclass(frozen=True, slots=True)
class _Layer:
    """One file as it is written."""

    file: Path
    values: dict[str, Any]
    lines: dict[Place, int]


def read(file: Path, folders: Sequence[Path]) -> Sheet:
    """The file with all that it extends; whatever keeps a part from being read is in `problems`."""
    sheet = Sheet()
    layers: list[_Layer] = []
    following: Path | None = file
    while following:
        sheet.files = (*sheet.files, following)
        layers.append(_layer(following, sheet))
        following = _extended(layers[-1], sheet, folders)
    for layer in reversed(layers):
        own = () if layer is layers[0] else ("extends", "abstract")
        _merge(sheet, sheet.values, {key: value for key, value in layer.values.items() if key not in own}, (), layer)
    return sheet


def written(dataset: Dataset, place: Place) -> Origin:
    """Where a dataset that was loaded says `place`, or what is nearest around it: for what is found wrong later."""
    return read(dataset.file, list(dict.fromkeys(file.parent for file in dataset.files))).origin(place)


def _layer(file: Path, sheet: Sheet) -> _Layer:
    try:
        values, lines, problems = parse(file.read_text("utf-8-sig"), file, _FORM)
    except UnicodeDecodeError as error:
        values, lines, problems = {}, {}, [Problem(f"is no UTF-8 text (byte {error.start})", file=file)]
    except OSError as error:
        values, lines, problems = {}, {}, [Problem(f"cannot be read: {error.strerror}", file=file)]
    sheet.problems += problems
    sheet.whole = sheet.whole and bool(values or not problems)
    return _Layer(file, values, lines)


def _extended(layer: _Layer, sheet: Sheet, folders: Sequence[Path]) -> Path | None:
    """The file that a layer extends, if any."""
    name = layer.values.get("extends")
    if name is None:
        return None
    found = _target(name, layer.file, folders)
    if not isinstance(found, str) and found in sheet.files:
        found = "extends itself: " + " -> ".join(file.name for file in (*sheet.files, found))
    if isinstance(found, str):
        sheet.problems.append(Problem(found, "extends", layer.file, layer.lines.get(("extends",), 0)))
        sheet.whole = False
        return None
    return found


def _target(name: object, file: Path, folders: Sequence[Path]) -> Path | str:
    """The file of that name or path as `file` means it, or what is wrong with it.

    A name means a file beside `file` first, so that what ships extends what ships; never `file` itself, so that a
    user's `small` can extend envctl's.
    """
    if not isinstance(name, str) or not name:
        return "must be a dataset's name, or a path"
    if is_path(name):
        path = type(file)(os.path.normpath(file.parent / type(file)(name).expanduser()))
        return path if path.is_file() else f"no such file: {path}"
    every = [available([folder]) for folder in (file.parent, *folders)]
    for known in every:
        if known.get(name, file) != file:
            return known[name]
    return f"no dataset is named {name!r}; {nearest(name, sorted({key for known in every for key in known}))}"


def _merge(sheet: Sheet, into: dict[str, Any], values: dict[str, Any], place: Place, layer: _Layer) -> None:
    """Add a layer's mapping to what it extends: mappings key by key, all else replaces, null removes."""
    for key, value in values.items():
        at = (*place, key)
        origin = Origin(layer.file, layer.lines.get(at, 0))
        if value is None or (_is_setting(at) and value in _NOTHING):
            if key not in into:
                hint = "; a value with a comma needs quotes between { and }" if ")" in key else ""
                sheet.problems.append(Problem(f"is empty{hint}", ".".join(at), layer.file, origin.line))
            else:
                del into[key]
                _forget(sheet, at)
        elif isinstance(value, dict):
            if key in into and not isinstance(into[key], dict):
                del into[key]
                _forget(sheet, at)
            sheet.origins[at] = origin
            _merge(sheet, into.setdefault(key, {}), value, at, layer)
        else:
            if key in into:
                _forget(sheet, at)
            into[key] = value
            for below in _places(value, at):
                sheet.origins[below] = Origin(layer.file, layer.lines.get(below, origin.line))


def _forget(sheet: Sheet, place: Place) -> None:
    """Nothing at or below the place came from anywhere any more."""
    for other in [other for other in sheet.origins if other[: len(place)] == place]:
        del sheet.origins[other]


def _places(value: object, place: Place) -> Iterator[Place]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*place, str(key)))

"""YAML with the line of every key: `envctl.yaml`, and datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from envctl.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from envctl.config.validation import Place

# More than anybody writes; aliases of aliases, which YAML multiplies, end here.
_MOST_PLACES = 100_000


def _is_option(place: Place) -> bool:
    return len(place) == 4 and place[0] == "services" and place[2] == "options"  # noqa: PLR2004 - services.X.options.Y


@dataclass(frozen=True, slots=True)
class Form:
    """What kind of file is read: how deep its keys go (an alias that contains itself ends there), and which values
    are `verbatim`, the text as it stands there (`fsync: off`), whatever YAML would make of it.
    """

    deepest: int = 6
    verbatim: Callable[[Place], bool] = _is_option
    example: str = "profiles: [core]"
    loader: Any = yaml.SafeLoader


CONFIGURATION = Form()


def parse(
    text: str, file: Path, form: Form = CONFIGURATION
) -> tuple[dict[str, object], dict[Place, int], list[Problem]]:
    """The values, the line of each place, and what is wrong with the text itself."""
    reader = _Reader(text, file, form)
    try:
        values = reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (column {mark.column + 1})" if mark else ""
        reader.report(f"broken YAML: {error.problem or error.context}{place}", line=mark.line + 1 if mark else 0)
        return {}, {}, reader.problems
    except (yaml.YAMLError, ValueError) as error:
        reader.report(f"broken YAML: {error}")
        return {}, {}, reader.problems
    return values, reader.lines, reader.problems


class _Reader:
    """One walk over the nodes: values as the safe loader makes them, and the line of each."""

    def __init__(self, text: str, file: Path, form: Form) -> None:
        self.text, self.file, self.form = text, file, form
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []

    def document(self) -> dict[str, object]:
        self.loader = self.form.loader(self.text)
        node = self.loader.get_single_node()
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.report(f"must be a mapping of keys to values, such as `{self.form.example}`", line=1)
            return {}
        return self._mapping(node, ())

    def report(self, message: str, place: Place = (), line: int = 0) -> None:
        self.problems.append(Problem(message, ".".join(place), self.file, line))

    def _value(self, node: yaml.Node, place: Place) -> object:
        self.lines.setdefault(place, node.start_mark.line + 1)
        if len(place) > self.form.deepest or len(self.lines) > _MOST_PLACES:
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*place, str(number))) for number, item in enumerate(node.value)]
        if self.form.verbatim(place):
            # `fsync: off` is text to the server; YAML would make a boolean of it, and `1_000` a number.
            return node.value
        value: object = self.loader.construct_object(node)
        return value

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, object]:
        self._refuse_duplicates(node, place)
        self.loader.flatten_mapping(node)
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            self.lines[*place, key] = key_node.start_mark.line + 1
            values[key] = self._value(value_node, (*place, key))
        return values

    def _refuse_duplicates(self, node: yaml.MappingNode, place: Place) -> None:
        first: dict[str, int] = {}
        for key_node, _ in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in first:
                self.report(f"written twice, first in line {first[key]}", (*place, key), line)
            first.setdefault(key, line)

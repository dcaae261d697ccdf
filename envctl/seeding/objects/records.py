"""The rows of generated objects: the fields of one version, over the open relation that is their content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from envctl.seeding.world import WorldError

if TYPE_CHECKING:
    from envctl.seeding.column import Column
    from envctl.seeding.spec import Objects
    from envctl.seeding.world import World

Path = tuple[str, ...]
"""A field's name, after those of the records that it is nested in."""


class Records:
    """The records of one version; the rows of any parent row, from any row on."""

    def __init__(self, world: World, objects: Objects, version: str, parent: int) -> None:
        self.typical = 0
        """Bytes of a row in a file of lines, as far as known: how many are made at a time hangs on it, and no byte."""
        self.parent = parent
        """A parent row that there is; the fields' kinds are the same for all."""
        self._world, self._content = world, objects.content
        shape = {str(name): shape for name, shape in objects.versions.items()}[version]
        self._sources = dict(_leaves(shape))
        # Two kinds of objects may share the content and name their versions alike: the source keeps their places apart.
        self._places = {
            path: f"{'.'.join(path)} of version {version} in {objects.relation}: {source}"
            for path, source in self._sources.items()
        }
        self.paths = tuple(self._sources)
        """The fields, in their order."""
        if not self.paths:
            raise WorldError(objects.content, f"version {version}", "has no field")

    def fields(self, parent: int, start: int, stop: int) -> dict[Path, Column]:
        """The rows from `start` up to `stop` of this parent row, by field."""
        chunk = self._world.opened(self._content, parent, start, stop)
        return {path: chunk.expression(self._places[path], source) for path, source in self._sources.items()}

    def problem(self, parent: int, why: str) -> WorldError:
        """An error that says whose rows these are."""
        return WorldError(self._content, f"rows of parent row {parent}", why)


def _leaves(shape: Mapping[str, object], above: Path = ()) -> Iterator[tuple[Path, str]]:
    for name, inner in shape.items():
        path = (*above, str(name))
        if isinstance(inner, Mapping):
            yield from _leaves(inner, path)
        else:
            yield path, str(inner)

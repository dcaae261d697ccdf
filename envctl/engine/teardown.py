"""Taking an environment down: by label alone, so it needs no compose file and no compose, after any crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.events import emit
from envctl.model import Leak, Resource
from envctl.protocols import NotReady
from envctl.waiting import TimedOut, in_parallel, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.protocols import Engine

LAG = 3.0
"""Seconds that the engine may take to let go of a network or volume after its last container went."""

_ORDER = (("container",), ("network", "volume"))


def tear_down(engine: Engine, environment: str, grace: float = 0.0) -> tuple[list[Resource], list[Leak]]:
    """Remove every container, network and volume of an environment: what was removed, and what could not be, why.

    Containers are killed at once, or after `grace` seconds to end by themselves. Something that appears while this
    runs (an `up` that is being interrupted) is removed too.
    """
    removed: list[Resource] = []
    for _ in range(3):
        found = [*engine.resources(environment), *_anonymous(engine, environment)]
        if not found:
            return removed, []
        if grace:
            # One that cannot be asked is removed all the same, or named with the reason why not.
            containers = [r for r in found if r.kind == "container"]
            in_parallel({r.id: lambda r=r: engine.stop(r, grace) for r in containers})  # type: ignore[misc]
        stuck: dict[str, Leak] = {}
        for kinds in _ORDER:
            batch = [resource for resource in found if resource.kind in kinds]
            outcome = _remove_all(engine, batch)
            removed += [resource for resource in batch if not outcome[resource.id]]
            stuck |= {r.id: Leak(r.kind, "engine", r.name, outcome[r.id]) for r in batch if outcome[r.id]}
        if stuck:
            return removed, list(stuck.values())
    return removed, []


def _anonymous(engine: Engine, environment: str) -> list[Resource]:
    """Volumes that carry no label of ours because the engine made them for an image's VOLUME; their containers know
    them. Named ones are found by label.
    """
    named = {resource.name for resource in engine.resources(environment) if resource.kind == "volume"}
    return [
        Resource("volume", volume, volume, environment)
        for container in engine.containers(environment)
        for volume in container.volumes
        if volume not in named and _nameless(volume)
    ]


def _nameless(volume: str) -> bool:
    """Whether the engine made the name: 64 hexadecimal digits. A volume with a name of its own is somebody's."""
    return len(volume) == 64 and not set(volume) - set("0123456789abcdef")  # noqa: PLR2004 - the engine's form


def _remove_all(engine: Engine, resources: Sequence[Resource]) -> dict[str, str]:
    """Remove all at once; the reason for each that is still there, empty for those gone."""
    outcome = in_parallel({resource.id: lambda r=resource: _remove(engine, r) for resource in resources})  # type: ignore[misc]
    return {identity: str(result) or repr(result) if result else "" for identity, result in outcome.items()}


def _remove(engine: Engine, resource: Resource) -> str:
    """Remove one, with patience for an engine that lags; the reason when it stays."""

    def attempt() -> None:
        if reason := engine.remove(resource):
            raise NotReady(reason)

    try:
        until(attempt, LAG, f"{resource} gone")
    except TimedOut as error:
        return error.last
    emit("resource.removed", kind=resource.kind, name=resource.name)
    return ""

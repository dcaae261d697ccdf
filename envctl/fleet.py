"""All environments on an engine: take down, list, collect what belongs to the dead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from envctl import garbage
from envctl.engine.connect import locate
from envctl.engine.docker_engine import DockerEngine
from envctl.errors import StateFolderError
from envctl.events import emit
from envctl.model import OWNER_LABEL, Leak, Resource
from envctl.reports import DownReport, EnvironmentSummary, GcReport
from envctl.residents import counted, overall, state_of
from envctl.state import Pins, StateFolder, state_root
from envctl.takedown import take_down

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.config import Settings
    from envctl.model import Container


def down(settings: Settings, *, everything: bool = False, check: bool = True, grace: float = 0.0) -> DownReport:
    """Take one environment down, or all on this engine; needs no file, and does nothing where nothing is."""
    engine = DockerEngine(locate())
    names = _names(engine) if everything else [settings.name]
    reports = [take_down(engine, name, check=check, grace=grace) for name in names]
    return DownReport(
        tuple(names),
        tuple(resource for report in reports for resource in report.removed),
        tuple(leak for report in reports for leak in report.leaks),
    )


def list_environments() -> list[EnvironmentSummary]:
    """All environments on this engine."""
    engine = DockerEngine(locate())
    by_name: dict[str, list[Container]] = {}
    for container in engine.containers():
        by_name.setdefault(container.environment, []).append(container)
    return [_summary(name, containers) for name, containers in sorted(by_name.items())]


def collect_garbage(*, dry_run: bool = False) -> GcReport:
    """Remove every environment that provably belongs to the dead; say why, and why the others stay."""
    engine, now = DockerEngine(locate()), time.time()
    removed: list[Resource] = []
    leaks: list[Leak] = []
    verdicts = {}
    for name in _names(engine):
        verdicts[name] = _judge(engine, name, now)
        if verdicts[name].dead and not dry_run:
            report = take_down(engine, name, check=True, grace=0.0)
            removed += report.removed
            leaks += report.leaks
    dead = tuple((name, verdict.reason) for name, verdict in verdicts.items() if verdict.dead)
    kept = tuple((name, verdict.reason) for name, verdict in verdicts.items() if not verdict.dead)
    return GcReport(tuple(removed), dead, kept, tuple(leaks))


def _judge(engine: DockerEngine, name: str, now: float) -> garbage.Verdict:
    folder = StateFolder(name)
    owner = next((resource.labels.get(OWNER_LABEL, "") for resource in engine.resources(name)), None)
    try:
        pins = folder.load() if folder.path.is_dir() else None
    except StateFolderError as error:
        return garbage.Verdict(dead=False, reason=error.found)
    return garbage.judge(owner, pins, folder.last_used(), now)


def _names(engine: DockerEngine) -> list[str]:
    """Every environment that has anything on the engine, or state on this machine."""
    states = {path.parent.name for path in state_root().glob("*/environment.json")}
    return sorted({resource.environment for resource in engine.resources()} | states)


def _summary(name: str, containers: Sequence[Container]) -> EnvironmentSummary:
    folder = StateFolder(name)
    pins, used = _readable(folder), folder.last_used()
    return EnvironmentSummary(
        name=name,
        state=overall(state_of(container, pins.ready) for container in counted(containers)),
        services=tuple(sorted(container.service for container in containers)),
        profiles=tuple(pins.profiles),
        owner=containers[0].labels.get(OWNER_LABEL, ""),
        created=min(c.created for c in containers),
        ttl_left=None if pins.ttl is None or used is None else used + pins.ttl - time.time(),
    )


def _readable(folder: StateFolder) -> Pins:
    """The pins where they can be read: one damaged file must not hide all environments from `ls`."""
    try:
        return folder.load()
    except StateFolderError as error:
        emit("state.unreadable", environment=folder.name, reason=error.found)
        return Pins()

"""Taking one environment down and proving it gone, whatever died on the way."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from envctl.engine import guardian, project
from envctl.engine.compose import end_orphans
from envctl.engine.teardown import tear_down
from envctl.errors import Busy, StateFolderError
from envctl.events import emit
from envctl.journal import Journal
from envctl.leaks import host
from envctl.model import Leak, Resource
from envctl.reports import DownReport
from envctl.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.engine.docker_engine import DockerEngine

DOWN_PATIENCE = 30.0
"""Seconds that `down` lets an `up` of the same environment stop by itself before it goes on without it."""


def take_down(engine: DockerEngine, name: str, *, check: bool, grace: float) -> DownReport:
    """Take one down: an `up` at work is asked to stop first, and gets time to."""
    folder, started = StateFolder(name), time.monotonic()
    if not folder.path.is_dir() and not engine.resources(name):
        return DownReport((name,), guardian.end(name))
    folder.request_down()
    with _held_if_possible(folder):
        removed, leaks = remove(engine, folder, grace, check=check)
    emit("environment.down", environment=name, ms=round((time.monotonic() - started) * 1000))
    return DownReport((name,), tuple(removed), tuple(leaks))


def remove(
    engine: DockerEngine, folder: StateFolder, grace: float, *, check: bool = True
) -> tuple[list[Resource], list[Leak]]:
    """Remove all of an environment and its state, and look whether it is gone."""
    end_orphans(project.name_of(folder.name))
    # First: it would start again what is removed here. Every fault lives in what goes now.
    ended = guardian.end(folder.name, (guardian.WARDEN,))
    with suppress(StateFolderError):  # what cannot be read goes with its environment all the same
        for entry in Journal(folder).entries():
            emit("fault.moot", environment=folder.name, id=entry.id, fault=entry.fault, service=entry.service)
    known = engine.resources(folder.name)
    host_ports = [port for container in engine.containers(folder.name) for port in container.ports.values()]
    removed, leaks = tear_down(engine, folder.name, grace)
    removed += [*ended, *guardian.end(folder.name)]
    if check and not leaks:
        leaks = host.remaining(engine, folder.name, [*known, *removed], host_ports)
    if not leaks:
        try:
            folder.remove()
        except StateFolderError as error:
            leaks = [Leak("file", "host", str(folder.path), error.found)]
    return removed, leaks


@contextmanager
def _held_if_possible(folder: StateFolder) -> Iterator[None]:
    """The environment's lock, where it can be had: `down` must work beside an `up` that hangs, and without state."""
    if not folder.path.is_dir():
        yield
        return
    lock = folder.locked(DOWN_PATIENCE)
    try:
        lock.__enter__()
    except (Busy, StateFolderError) as error:
        emit("lock.missed", environment=folder.name, reason=error.found)
        yield
        return
    try:
        yield
    finally:
        lock.__exit__(None, None, None)

"""Pinning: every published port of an environment gets its host port once and keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.catalog import SERVICES
from envctl.engine import ports, project
from envctl.events import emit
from envctl.locks import file_lock
from envctl.model import State
from envctl.protocols import Advertises

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from envctl.config import Settings
    from envctl.engine.docker_engine import DockerEngine
    from envctl.engine.project import Model
    from envctl.model import Container
    from envctl.state import Pins, StateFolder

_HOLDING = {State.RUNNING, State.PAUSED}
"""States in which a container's published ports are its own."""


class Pinning:
    """The choice of ports for one environment; `before` are its containers as they stand, by service, `relayed` the
    host ports that its relay holds.
    """

    def __init__(
        self,
        settings: Settings,
        engine: DockerEngine,
        folder: StateFolder,
        pins: Pins,
        before: Mapping[str, Container],
        relayed: Collection[int] = (),
    ) -> None:
        self._settings, self._engine, self._folder, self._pins, self._before = settings, engine, folder, pins, before
        self._relayed = relayed

    def pin(self, model: Model, avoid: set[int]) -> None:
        """A host port for everything that is published: the pinned one, else chosen now, together with the others
        of this user under one lock, so that no two environments choose the same.
        """
        with file_lock(self._folder.root / "ports.lock", self._settings.timeout, "the choice of ports"):
            taken = ports.pinned_by({name: pins.ports for name, pins in self._folder.others().items()})
            wishes = [w for name, service in model["services"].items() for w in self._wishes(name, service, avoid)]
            chosen, moved = ports.choose(
                wishes,
                self._settings.ports,
                self._settings.name,
                {*taken, *avoid},
                lambda port: self._holder(port, taken),
            )
            for wish, port in chosen.items():
                self._pins.ports.setdefault(wish.service, {})[wish.name] = port
            self._folder.save(self._pins)
        for move in moved:
            data = {"service": move.wish.service, "port": move.wish.name, "wanted": move.wish.preferred}
            emit("port.moved", **data, got=move.got, holder=move.holder)
        for name, service in model["services"].items():
            self._write_ports(name, service)

    def _wishes(self, name: str, service: Model, avoid: set[int]) -> list[ports.Wish]:
        """The ports of one service that are not pinned yet, or whose pin was lost to somebody else."""
        override, pinned = self._settings.overrides.get(name), self._pins.ports.setdefault(name, {})
        before = self._before.get(name)
        wishes: list[ports.Wish] = []
        for index, entry in enumerate(project.published(service)):
            port_name = self._port_name(name, entry)
            if before and int(entry["target"]) in before.ports:
                pinned.setdefault(port_name, before.ports[int(entry["target"])])
            fixed = override.port if override and override.port and index == 0 else None
            kept = pinned.get(port_name)
            mine = bool(before and before.state in _HOLDING) or kept in self._relayed
            if kept is not None and kept not in avoid and fixed in {None, kept} and (mine or ports.is_free(kept)):
                continue
            # Of a range that compose may choose from, the first is as good as any.
            preferred = fixed or int(str(entry.get("published") or 0).partition("-")[0])
            wishes.append(ports.Wish(name, port_name, preferred, fixed=fixed is not None))
        return wishes

    def _write_ports(self, name: str, service: Model) -> None:
        pinned = self._pins.ports.get(name, {})
        for entry in project.published(service):
            entry["published"] = str(pinned[self._port_name(name, entry)])
        known = SERVICES.get(name)
        if known is not None and isinstance(known, Advertises):
            known.advertise(service, pinned)

    @staticmethod
    def _port_name(name: str, entry: Model) -> str:
        known = SERVICES.get(name)
        names = {target: port for port, target in known.ports.items()} if known else {}
        return names.get(int(entry["target"]), str(entry["target"]))

    def _holder(self, port: int, taken: Mapping[int, str]) -> str:
        """Who has a port: another environment, a container, or a process."""
        if port in taken:
            return f"environment {taken[port]!r}"
        return self._engine.publisher(port) or ports.listener(port) or "a process that may not be seen"

"""Faults that hurt files instead of servers: what the frame does is seen without an engine.

Each service has a folder; a file in it stands for what a server holds. `word.txt` and `number.txt` hold what they held
before unless a fault is in force.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.chaos import healing, injecting
from envctl.chaos.ward import Ward
from envctl.errors import VictimNeverCame
from envctl.faults.fault import Abode, Fault, parameter
from envctl.faults.values import count
from envctl.journal import Journal
from envctl.model import Container, State
from envctl.protocols import Lost, NotReady

if TYPE_CHECKING:
    from collections.abc import Callable

    from envctl.protocols import Service
    from envctl.residents import Residents
    from envctl.site import Dice, Site

BEFORE = {"word.txt": "whole", "number.txt": "1"}


class Server:
    """A service whose state is a folder; the engine that has it runs nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, file: str) -> str:
        """What it holds now."""
        return (self.folder / file).read_text()

    def all(self) -> dict[str, str]:
        """All that it holds."""
        return {path.name: path.read_text() for path in sorted(self.folder.glob("*.txt"))}


@dataclass(frozen=True)
class Scribble(Fault):
    """Overwrite two files, in two steps."""

    name: ClassVar[str] = "scribble"
    summary: ClassVar[str] = "Overwrite two files."
    lives_in: ClassVar[Abode] = Abode.DATA
    bites_within: ClassVar[float] = 0.2
    heals_within: ClassVar[float] = 0.3

    word: str = parameter("broken", "What to write.")
    tries: int = parameter(0, "How many looks until it is seen to bite; more than 50: never.", kind=count)
    thing: str = parameter("files", "What it claims.")

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Not for ZooKeeper."""
        return "zookeeper keeps nothing in files; use pause" if service.name == "zookeeper" else ""

    def problems(self, service: Service) -> list[str]:
        """No empty words."""
        del service
        return [] if self.word else ["--word: wanted a word, found ''"]

    def claims(self, site: Site) -> tuple[str, ...]:
        """The files."""
        del site
        return (self.thing,)

    def plan(self, site: Site) -> dict[str, Any]:
        """What they hold."""
        return {"before": site.kept["server"].all(), "chosen": site.dice.whole("digit", 2, 9)}

    def apply(self, site: Site, plan: dict[str, Any]) -> None:
        """First the one, then the other."""
        server = site.kept["server"]
        (server.folder / "word.txt").write_text(self.word)
        step()
        (server.folder / "number.txt").write_text(str(plan["chosen"]))

    def bites(self, site: Site, plan: dict[str, Any]) -> dict[str, Any]:
        """Another word is read."""
        del plan
        site.kept["looks"] = site.kept.get("looks", 0) + 1
        if site.kept["looks"] <= self.tries:
            raise NotReady(f"look {site.kept['looks']} saw nothing")
        return {"read": site.kept["server"].read("word.txt")}

    def undo(self, site: Site, plan: dict[str, Any]) -> None:
        """Write back what was there."""
        server = site.kept["server"]
        if not server.folder.is_dir():
            raise Lost("its folder is gone")
        for file, text in plan["before"].items():
            (server.folder / file).write_text(text)
            step()

    def recovered(self, site: Site, plan: dict[str, Any]) -> dict[str, Any]:
        """Everything is as it was."""
        if (now := site.kept["server"].all()) != plan["before"]:
            raise NotReady(f"{now} instead of {plan['before']}")
        return {"files": len(now)}


class Stubborn(Scribble):
    """As Scribble, on what cannot be undone."""

    name: ClassVar[str] = "stubborn"

    def undo(self, site: Site, plan: dict[str, Any]) -> None:
        """Never."""
        del site, plan
        raise NotReady("the disk is read-only")


class Gag(Scribble):
    """As Scribble, and nobody hears the service meanwhile."""

    name: ClassVar[str] = "gag"
    silences: ClassVar[bool] = True


class Brief(Scribble):
    """As Scribble, in the processes: a restart ends it."""

    name: ClassVar[str] = "brief"
    lives_in: ClassVar[Abode] = Abode.PROCESS


class Lurker(Scribble):
    """As Scribble, and waits for a victim that never comes; whoever heals cuts it off in the middle."""

    name: ClassVar[str] = "lurker"
    attended: ClassVar[bool] = True

    def attend(self, site: Site, plan: dict[str, Any], stop: threading.Event) -> None:
        """Lose the connection when it is healed."""
        while site.kept["server"].all() != plan["before"] and not stop.wait(0.01):
            pass
        raise VictimNeverCame("a victim", "the connection was lost", "have one come")


class Deaf(Lurker):
    """As Lurker, and hears of nothing: the server that it asks stands still until `WOKEN`."""

    name: ClassVar[str] = "deaf"
    heals_within: ClassVar[float] = 1.0

    def attend(self, site: Site, plan: dict[str, Any], stop: threading.Event) -> None:
        """Ask, and get no answer."""
        del site, plan, stop
        WOKEN.wait(60)


WOKEN = threading.Event()

TOYS = MappingProxyType({fault.name: fault for fault in (Scribble, Stubborn, Gag, Brief, Lurker, Deaf)})


@dataclass
class Engine:
    """Containers by service, one environment; nothing runs."""

    now: dict[str, Container] = field(default_factory=dict)
    host: str = "127.0.0.1"

    def containers(self, environment: str | None = None) -> tuple[Container, ...]:
        """All."""
        return tuple(c for c in self.now.values() if environment in {None, c.environment})

    def container(self, identity: str) -> Container | None:
        """One."""
        return next((c for c in self.now.values() if c.id == identity), None)

    def read_file(self, container: Container, path: str) -> None:
        """No secrets are in it."""


def container(service: str) -> Container:
    """A container of `shop` that runs since noon."""
    return Container(f"{service}-1", f"envctl-shop-{service}-1", "shop", service, "x", State.RUNNING, started_at="noon")


class ToyWard(Ward):
    """`shop`, whose services keep their state in folders."""

    def __init__(self, root: Path, engine: Engine | None = None) -> None:
        engine = engine or Engine({name: container(name) for name in ("redis", "postgres", "zookeeper")})
        super().__init__("shop", engine)  # type: ignore[arg-type] - an engine of the test's own
        self.root = root
        self.folder.create()
        for service in engine.now:
            if not (folder := root / service).exists():
                folder.mkdir(parents=True)
                for file, text in BEFORE.items():
                    (folder / file).write_text(text)

    def server(self, service: str = "redis") -> Server:
        """The folder of a service."""
        return Server(self.root / service)

    def site(self, service: str, dice: Dice | None = None, among: Residents | None = None) -> Site:
        """With the folder in it."""
        site = super().site(service, dice, among)
        site.kept["server"] = self.server(service)
        return site


def put_into_catalog(patch: Callable[[object, str, object], None]) -> None:
    """Have the frame know the toys alone, and start no warden: `patch(module, name, value)`."""
    for module in (healing, injecting):
        patch(module, "FAULTS", TOYS)
    patch(injecting.warden, "ensure", lambda _: None)


_steps = [0, 0]
"""Steps taken, and the one before which this process is to die (0: none)."""


def step() -> None:
    """One step of an injection or a healing is done."""
    _steps[0] += 1
    if _steps[0] == _steps[1]:
        os.kill(os.getpid(), signal.SIGKILL)


def dying(at: int) -> None:
    """Take a step before and after everything that the frame does, and die at the step `at`."""
    _steps[1] = at
    for owner, names in (
        (Journal, ("_write", "say", "close")),
        (Scribble, ("plan", "apply", "bites", "undo", "recovered")),
    ):
        for name in names:
            setattr(owner, name, _stepping(getattr(owner, name)))


def _stepping(method: Callable[..., object]) -> Callable[..., object]:
    def stepping(*args: object, **more: object) -> object:
        step()
        result = method(*args, **more)
        step()
        return result

    return stepping


def main(root: str, at: int) -> None:
    """Inject and heal, in a process of its own; prints how many steps that took."""
    put_into_catalog(setattr)
    dying(at)
    ward = ToyWard(Path(root))
    injecting.inject(ward, Scribble(), "redis", injecting.Wish()).heal()
    print(_steps[0])

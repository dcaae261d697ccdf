"""An environment of fake services, with datasets in a folder, and what is done to it."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.events import listening
from envctl.residents import Residents
from envctl.seeder.request import Request
from envctl.seeder.run import Seeder, seed
from envctl.seeder.verify import Verification
from envctl.state import Pins, StateFolder
from tests.unit.fake_engine import FakeEngine, container

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from envctl.reports import SeedReport, VerifyReport
    from tests.unit.seeder.fake_service import FakeService

DATASET = {"postgres": {"sql": "a.sql"}, "redis": {"commands": "b.redis"}}


def fails_at_2(number: int, _stop: threading.Event) -> None:
    """A service that goes away in the middle."""
    if number == 2:
        raise SeedFailed("row 3", "the server went away", "start it")


@dataclass
class House:
    """An environment of fake services, with datasets in a folder."""

    path: Path
    services: dict[str, FakeService]
    engine: FakeEngine = field(default_factory=FakeEngine)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = StateFolder("shop", self.path / "state")
        self.folder.create()
        self.engine.put(*map(container, self.services))
        self.disk = {"DockerRootDir": str(self.path), "KernelVersion": platform.release()}
        self.engine.facts = self.disk
        for name in ("a.sql", "b.redis"):
            (self.path / name).write_text("SET a 1\n" if name == "b.redis" else "select 1;\n")
        self.dataset("small")

    def dataset(self, name: str, **content: object) -> None:
        """A dataset of this name; `content` adds to what it fills."""
        text = json.dumps({"description": f"The dataset {name}.", **DATASET, **content})
        (self.path / f"{name}.yaml").write_text(text)

    def request(self, name: str = "small", **more: Any) -> Request:  # noqa: ANN401 - the request's fields
        """A request for a dataset of this house's."""
        return Request(name, folders=(self.path,), **more)

    def residents(self) -> Residents:
        """Who lives here."""
        return Residents(self.engine, Pins(secrets=self.secrets), self.engine.containers())

    def seed(self, name: str = "small", environment: object = None, **more: Any) -> SeedReport:  # noqa: ANN401
        """Load a dataset; its events are in `heard`."""
        self.heard.clear()
        with listening(lambda event, data: self.heard.append((event, data))):
            request = self.request(name, **more)
            return seed(request, self.engine, self.folder, self.residents(), environment)  # type: ignore[arg-type]

    def verify(self, name: str = "", services: tuple[str, ...] = ()) -> VerifyReport:
        """Compare what is there."""
        with listening(lambda event, data: self.heard.append((event, data))):
            wanted = self.request(name) if name else None
            return Verification(self.folder, self.residents(), services, (self.path,)).run(wanted)

    def said(self, event: str) -> list[dict[str, Any]]:
        """The data of all events of this name."""
        return [data for name, data in self.heard if name == event]

    def is_met(self, name: str = "small") -> bool:
        """Whether a second `up` would do nothing."""
        return self.request(name).is_met(self.folder, self.engine.containers())

    def seeder(self) -> Seeder:
        """A run that has come as far as an `up` whose containers have just been started."""
        seeder = Seeder(self.request(), self.engine, self.folder, None)  # type: ignore[arg-type]
        seeder.prepare()
        seeder.require(self.services)
        seeder.enter(self.residents())
        return seeder

    def make_anew(self, service: str) -> None:
        """Another container in the place of the service's."""
        self.engine.now[service] = replace(container(service), id=f"another-{service}")

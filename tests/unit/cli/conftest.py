"""The command line with a fake at its one seam: `envctl.environment` and `envctl.fleet`, which need an engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import envctl
from envctl.cli import main
from envctl.config import Settings
from envctl.events import emit
from envctl.model import LogLine, Resource, ServiceStatus
from envctl.reports import (
    DownReport,
    EnvironmentSummary,
    GcReport,
    Phase,
    SeedReport,
    SeedShare,
    Status,
    UpReport,
    VerifyReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def service(name: str, port: int, **more: object) -> ServiceStatus:
    """A service that is ready; `more` replaces fields."""
    values: dict[str, Any] = {
        "name": name,
        "state": "ready",
        "host": "127.0.0.1",
        "port": port,
        "ports": {name: port},
        "image": f"{name}:1",
        "image_source": "pulled",
        "container": f"envctl-shop-{name}-1",
        "ready_ms": 1234,
        "restarts": 0,
    }
    return ServiceStatus(**{**values, **more})


@dataclass
class FakeEnvironment:
    """What `environment.up` and `attach` return here; every call is in `calls`, an error in `raises` comes instead."""

    settings: Settings = field(default_factory=lambda: Settings("nobody"))
    calls: list[tuple[str, Any]] = field(default_factory=list)
    raises: dict[str, BaseException] = field(default_factory=dict)
    events: Sequence[tuple[str, dict[str, Any]]] = ()
    variables_: Mapping[str, str] = field(default_factory=dict)
    secrets_: frozenset[str] = frozenset()
    lines: Sequence[LogLine] = ()
    down_report: DownReport = field(default_factory=lambda: DownReport(("shop",)))
    gc_report: GcReport = field(default_factory=GcReport)
    summaries: Sequence[EnvironmentSummary] = ()
    seed_report: SeedReport = field(
        default_factory=lambda: SeedReport(
            "small",
            0.5,
            1800,
            "d1",
            {"postgres": SeedShare(12345, 3_400_000, 1.5, "loaded"), "redis": SeedShare(7, 900, 0.0, "there")},
            ("kafka",),
            ("own.py:load",),
        )
    )
    up_report: UpReport = field(
        default_factory=lambda: UpReport(
            "shop", attached=False, ms=2500, services={"redis": Phase(300, 400, 2), "postgres": Phase(310, 2400, 9)}
        )
    )
    status_: Status = field(
        default_factory=lambda: Status(
            "shop",
            "ready",
            ("core",),
            {
                "postgres": service("postgres", 5432),
                "redis": service("redis", 6380, ready_ms=None, ports={"redis": 6380, "tls": 6381}),
            },
        )
    )

    def _note(self, verb: str, details: object = None) -> None:
        self.calls.append((verb, details))
        for event, data in self.events:
            emit(event, **data)
        if verb in self.raises:
            raise self.raises[verb]

    def up(self, settings: Settings, **more: object) -> FakeEnvironment:
        """The environment, after the events."""
        self.settings = settings
        self._note("up", more)
        return self

    def attach(self, settings: Settings) -> FakeEnvironment:
        """The environment as it is."""
        self.settings = settings
        if "attach" in self.raises:
            raise self.raises["attach"]
        return self

    def wait(self, services: Sequence[str] = (), timeout: float | None = None) -> None:
        """Ready again."""
        self._note("wait", (services, timeout))

    def seed(self, dataset: str, **more: object) -> SeedReport:
        """`seed_report`."""
        self._note("seed", (dataset, more))
        return self.seed_report

    def verify_seed(self, dataset: str | None, **more: object) -> VerifyReport:
        """All equal."""
        self._note("verify", (dataset, more))
        return VerifyReport("small", 1.0, 900, {"postgres": 12345})

    def status(self) -> Status:
        """`status_`."""
        if "status" in self.raises:
            raise self.raises["status"]
        return self.status_

    def report(self) -> UpReport:
        """`up_report`."""
        return self.up_report

    def variables(self) -> Mapping[str, str]:
        """`variables_`."""
        return self.variables_

    def secret_variables(self) -> frozenset[str]:
        """`secrets_`."""
        return self.secrets_

    def logs(self, services: Sequence[str], **more: object) -> Iterator[LogLine]:
        """`lines`."""
        self._note("logs", (services, more))
        yield from self.lines

    def down(self, settings: Settings, **more: object) -> DownReport:
        """`down_report`."""
        self.settings = settings
        self._note("down", more)
        return self.down_report

    def collect_garbage(self, **more: object) -> GcReport:
        """`gc_report`."""
        self._note("gc", more)
        return self.gc_report

    def list_environments(self) -> Sequence[EnvironmentSummary]:
        """`summaries`."""
        return self.summaries


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEnvironment:
    """The fake in place of the real modules, and an empty folder named `shop` to stand in."""
    environment = FakeEnvironment()
    for name in ("environment", "fleet"):
        module = ModuleType(f"envctl.{name}")
        for verb in ("up", "attach", "down", "collect_garbage", "list_environments"):
            setattr(module, verb, getattr(environment, verb))
        monkeypatch.setitem(sys.modules, f"envctl.{name}", module)
        monkeypatch.setattr(envctl, name, module, raising=False)
    folder = tmp_path / "shop"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for variable in ("ENVCTL_ENV", "ENVCTL_CONFIG", "ENVCTL_TIMEOUT", "GITHUB_ENV", "CI", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return environment


@dataclass
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture
def envctl_run(fake: FakeEnvironment, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run one command line in this process against the fake."""
    del fake

    def run(*arguments: str) -> Ended:
        code = main(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def removed() -> tuple[Resource, ...]:
    """Two containers and a network."""
    kinds = (("container", "postgres"), ("container", "redis"), ("network", "default"))
    return tuple(Resource(kind, f"envctl-shop-{name}", f"id-{name}", "shop") for kind, name in kinds)

"""A host of toys: three services whose state is files, and faults that scribble on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from envctl.chaos.recovery import Recovered
from envctl.errors import NotReadyInTime, Unmet
from envctl.scenarios import calls, reading, steps
from envctl.waiting import TimedOut, until
from tests.unit.chaos.toys import BEFORE, TOYS, ToyWard, put_into_catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from envctl.scenarios.verdict import ScenarioVerdict


class ToyHost:
    """An environment of toys."""

    name = "shop"

    def __init__(self, ward: ToyWard) -> None:
        self.ward = ward

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the services have no clients
        """No client."""
        raise AttributeError(name)

    def wait_recovered(self, service: str, timeout: float | str = 60.0) -> Recovered:
        """Until its files are what they were."""

        def probe() -> None:
            from envctl.protocols import NotReady

            if (now := self.ward.server(service).all()) != BEFORE:
                raise NotReady(str(now))

        try:
            until(probe, float(timeout), service)
        except TimedOut as error:
            raise NotReadyInTime(float(timeout), [Unmet(service, error.last, "running")]) from error
        return Recovered(service, 0, None)

    def variables(self) -> dict[str, str]:
        """One of them is secret."""
        return {"TOY_URL": "toys://x", "TOY_PASSWORD": "hunter2"}

    def secret_variables(self) -> frozenset[str]:
        """The password."""
        return frozenset({"TOY_PASSWORD"})


@pytest.fixture
def ward(state_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyWard:
    """`shop` with three services, and toys for faults."""
    del state_home
    put_into_catalog(monkeypatch.setattr)
    for module in (reading, steps):
        monkeypatch.setattr(module, "FAULTS", TOYS)
    return ToyWard(tmp_path / "servers")


@pytest.fixture
def chaos(ward: ToyWard) -> calls.Chaos:
    """`env.chaos`."""
    return calls.Chaos(ward, ToyHost(ward))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of a scenario, and others beside it."""
    folder = tmp_path / "scenarios"
    folder.mkdir()

    def write(text: str, **others: str) -> Path:
        for name, content in others.items():
            (folder / f"{name}.py").write_text(content)
        file = folder / "mine.yaml"
        file.write_text(text)
        return file

    return write


@pytest.fixture
def run(chaos: calls.Chaos, written: Callable[..., Path]) -> Callable[..., ScenarioVerdict]:
    """Runs a scenario of some text, with Python files beside it."""

    def running(text: str, /, *, seed: int | None = None, **files: str) -> ScenarioVerdict:
        return chaos.run(written(text, **files), seed=seed)

    return running

"""The house that all tests of seeding share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.seeder.fake_service import FakeService
from tests.unit.seeder.house import House

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """PostgreSQL and Redis, as far as seeding knows them."""
    services = {name: FakeService(name) for name in ("postgres", "redis")}
    for module in ("envctl.residents", "envctl.seeder.plan"):
        monkeypatch.setattr(f"{module}.SERVICES", services)
    return House(tmp_path, services)

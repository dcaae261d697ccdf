"""A ward of toys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.chaos.toys import ToyWard, put_into_catalog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ward(state_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyWard:
    """`shop` with three services, and toys for faults."""
    del state_home
    put_into_catalog(monkeypatch.setattr)
    return ToyWard(tmp_path / "servers")

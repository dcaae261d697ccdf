"""Datasets written by tests, and what is said of them."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Protocol

import pytest

from envctl.errors import ConfigurationError
from envctl.seeding.spec import Dataset, load

if TYPE_CHECKING:
    from pathlib import Path

    from envctl.errors import Problem


class Read(Protocol):
    """Write a dataset file, beside other files, and read it."""

    def __call__(self, text: str, scale: float = 1.0, **files: str | bytes) -> Dataset:
        """`files` by name, with `_` before the suffix: `prices_csv="a,b"` is prices.csv."""
        ...


class Problems(Protocol):
    """What is said of a broken dataset, as `line: key: message`."""

    def __call__(self, text: str, scale: float = 1.0, **files: str | bytes) -> list[str]:
        """As Read."""
        ...


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads what a test writes."""

    def read(text: str, scale: float = 1.0, **files: str | bytes) -> Dataset:
        for name, content in files.items():
            path = tmp_path / ".".join(name.rsplit("_", 1))
            path.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())
        (tmp_path / "mine.yaml").write_text(dedent(text))
        return load(str(tmp_path / "mine.yaml"), scale)

    return read


@pytest.fixture
def problems(read: Read, tmp_path: Path) -> Problems:
    """Says what is wrong with what a test writes."""

    def told(problem: Problem) -> str:
        file = problem.file.name if problem.file and problem.file.name != "mine.yaml" else ""
        place = f"{file}:{problem.line}" if file else str(problem.line)
        return ": ".join(part for part in (place, problem.key, problem.message) if part).replace(f"{tmp_path}/", "")

    def problems(text: str, scale: float = 1.0, **files: str | bytes) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            read(text, scale, **files)
        assert caught.value.wanted == "a valid dataset"
        return [told(problem) for problem in caught.value.problems]

    return problems

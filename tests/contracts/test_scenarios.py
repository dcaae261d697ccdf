"""The laws of every scenario that ships: it is right, claims something, and is told apart from those of others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from envctl.catalog import SERVICES
from envctl.errors import ConfigurationError
from envctl.scenarios import finding, reading
from envctl.scenarios.listing import summaries
from envctl.scenarios.model import Labour, Role, every_step
from envctl.scenarios.possible import needed

SHIPPED = sorted(finding.shipped().glob("*.yaml"))
SITUATIONS = {
    "slow-network",
    "database-reconnect",
    "spark-job-failure",
    "object-storage-trouble",
    "concurrent-runs-partition",
}
REPOSITORY = Path(__file__).parents[2]


def test_the_five_situations_ship() -> None:
    """What integration suites test."""
    assert {path.stem for path in SHIPPED} == SITUATIONS


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_it_is_right_and_claims_something(file: Path) -> None:
    """Without a complaint, with its functions; probes before and after, work, a fault, and a time to recover in."""
    scenario = reading.load(file).scenario
    assert scenario.description.endswith(".")
    assert scenario.having(Role.BEFORE)
    assert scenario.having(Role.AFTER)
    assert scenario.hurts()
    assert any(isinstance(step, Labour) for step in every_step(scenario.steps))
    assert scenario.recovery.within <= 60
    assert set(needed(scenario)) <= set(SERVICES)
    assert finding.is_shipped(scenario.file)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_it_cleans_up_what_it_prepares(file: Path) -> None:
    """Work on a store has its counterpart."""
    scenario = reading.load(file).scenario
    if {"postgres", "minio"} & set(needed(scenario)):
        assert any(work.python.endswith(":clear") for work in scenario.cleanup)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_half_of_it_is_refused(file: Path, tmp_path: Path) -> None:
    """Wherever it was cut."""
    text = file.read_text()
    for part in range(1, 12):
        half = tmp_path / f"{file.stem}-{part}.yaml"
        half.write_text(text[: len(text) * part // 12].rstrip("\n"))
        with pytest.raises(ConfigurationError):
            reading.load(half)


def test_the_page_shows_each(tmp_path: Path) -> None:
    """docs/scenarios.md has a row for each, and none that does not exist; the list says where they are from."""
    page = (REPOSITORY / "docs" / "scenarios.md").read_text()
    section = page.partition("## The scenarios that ship")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == SITUATIONS
    (tmp_path / "slow-network.yaml").write_text(SHIPPED[0].read_text())
    listed = {summary.name: summary for summary in summaries([tmp_path])}
    assert set(listed) == SITUATIONS
    assert not listed["slow-network"].shipped
    assert listed["database-reconnect"].shipped
    assert not any(summary.problem for summary in listed.values())

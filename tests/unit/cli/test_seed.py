"""`seed`, and `up --seed`: what is asked of the environment, and what is shown in each form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from envctl.cli import seed_view, views
from envctl.errors import DatasetDiffers, SeedConflict
from envctl.reports import SeedReport, VerifyReport

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli, FakeEnvironment


def progress(**more: object) -> dict[str, Any]:
    """The data of a `seed.progress`."""
    numbers = {"rows": 500, "bytes": 50_000_000, "of_rows": 2000, "of_bytes": 200_000_000, "seconds": 2.0}
    return {"service": "postgres", **numbers, **more}


EVENTS: list[tuple[str, dict[str, Any]]] = [
    (
        "seed.started",
        {"dataset": "small", "scale": 1.0, "services": {"postgres": {"rows": 2000, "bytes": 200_000_000}}},
    ),
    ("seed.skipped", {"service": "kafka", "reason": "not in this environment"}),
    ("seed.replaced", {"service": "postgres", "dataset": "medium", "reason": "", "removed": "9 tables"}),
    (
        "seed.replaced",
        {"service": "redis", "dataset": "small", "reason": "whose files have changed", "removed": "1 key"},
    ),
    ("seed.resumed", {"service": "redis"}),
    ("seed.progress", progress()),
    ("seed.progress", progress(bytes=60_000_000)),
    ("seed.loaded", {"service": "postgres", "rows": 2000, "bytes": 200_000_000, "seconds": 8.0}),
    ("seed.finished", {"dataset": "small", "ms": 8100}),
]


def test_every_option_arrives(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Nothing is lost between the command line and the environment."""
    assert envctl_run("seed", "small", *["--scale", "0.5", "--service", "redis", "--jobs", "3", "--force"]).code == 0
    asked = {"scale": 0.5, "services": ("redis",), "jobs": 3, "force": True}
    assert fake.calls == [("seed", ("small", asked))]


def test_without_a_name_the_configured_dataset_is_loaded(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """At its scale; without one in either place that is a usage error that says what to do."""
    ended = envctl_run("seed")
    assert ended.code == 2
    assert "envctl datasets" in ended.err
    Path("envctl.yaml").write_text("dataset: medium\nscale: 0.25\n")
    envctl_run("seed")
    ((verb, (dataset, asked)),) = fake.calls
    assert (verb, dataset, asked["scale"]) == ("seed", "medium", 0.25)


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "much"])
def test_a_scale_must_be_above_0(envctl_run: Cli, fake: FakeEnvironment, scale: str) -> None:
    """In all that takes one; nothing is started."""
    for command in (["seed", "small"], ["up", "--seed", "small"], ["seed", "--verify"]):
        ended = envctl_run(*command, "--scale", scale)
        assert ended.code == 2
        assert "--scale: must be a factor above 0" in ended.err
    assert fake.calls == []


def test_jobs_are_at_least_one(envctl_run: Cli) -> None:
    """Nobody loads with none."""
    assert envctl_run("seed", "small", "--jobs", "0").code == 2


def test_in_a_pipe_seed_writes_lines_and_a_table(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """What happened on the way, then rows, bytes and seconds by service."""
    fake.events = EVENTS
    out = envctl_run("seed", "small").out
    assert "small          200.0 MB for postgres" in out
    assert "kafka          not in this environment" in out
    assert "removed dataset 'medium': 9 tables" in out
    assert "removed dataset 'small', whose files have changed: 1 key" in out
    assert "going on where an earlier run ended" in out
    assert "25%" not in out
    assert "loaded 2,000 rows, 200.0 MB in 8.00 s" in out
    table = [line.split() for line in out.splitlines()]
    assert ["postgres", "12,345", "rows", "3.4", "MB", "1.50", "s", "loaded"] in table
    assert ["redis", "7", "keys", "900", "B", "0.00", "s", "loaded", "already"] in table
    assert "kafka" in out
    assert "left out: not in this environment" in out
    assert "dataset 'small' at scale 0.5 loaded in 1.80 s" in out


def test_what_was_there_is_said_to_be(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Whether it was looked at or known without a look."""
    fake.seed_report = SeedReport("small", 1.0, 0)
    assert "dataset 'small' is loaded already" in envctl_run("seed", "small").out
    fake.up_report = replace(fake.up_report, seed=fake.seed_report)
    assert "dataset 'small' is loaded already" in envctl_run("up", "--seed", "small").out


def test_json_is_events_and_a_result(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """All progress is in it."""
    fake.events = EVENTS
    lines = [json.loads(line) for line in envctl_run("seed", "small", "--json").out.splitlines()]
    assert [line["event"] for line in lines] == [*(event for event, _ in EVENTS), "result"]
    assert lines[-1]["services"]["postgres"] == {
        "rows": 12345,
        "bytes": 3400000,
        "seconds": 1.5,
        "outcome": "loaded",
    }
    assert (lines[-1]["dataset"], lines[-1]["absent"], lines[-1]["functions"]) == ("small", ["kafka"], ["own.py:load"])


def test_up_takes_the_dataset_and_shows_what_became_of_it(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """By option or configuration."""
    fake.up_report = replace(fake.up_report, seed=fake.seed_report)
    ended = envctl_run("up", "--seed", "small", "--scale", "0.5")
    assert (fake.settings.dataset, fake.settings.scale) == ("small", 0.5)
    assert "12,345" in ended.out
    result = json.loads(envctl_run("up", "--seed", "small", "--json").out.splitlines()[-1])
    assert result["seed"]["services"]["redis"]["outcome"] == "there"
    assert json.loads(envctl_run("wait", "--json").out.splitlines()[-1])["dataset"] is None


def test_verify_compares_and_loads_nothing(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Whatever is loaded, or just what is named; the configured dataset is no demand."""
    Path("envctl.yaml").write_text("dataset: medium\n")
    ended = envctl_run("seed", "--verify")
    assert (ended.code, "equal to what was loaded" in ended.out, "12,345" in ended.out) == (0, True, True)
    envctl_run("seed", "small", "--verify", "--service", "postgres")
    assert fake.calls == [
        ("verify", (None, {"scale": 1.0, "services": ()})),
        ("verify", ("small", {"scale": 1.0, "services": ("postgres",)})),
    ]
    assert envctl_run("seed", "--verify", "--force").code == 2


def test_verify_names_each_services_dataset_where_they_hold_several() -> None:
    """One name for all would be wrong for some."""
    loaded = {"postgres": ("small", 1.0), "redis": ("medium", 0.1)}
    told = seed_view.verified(VerifyReport("small", 1.0, 900, {"postgres": 5, "redis": 7}, loaded))
    table = [line.split() for line in told.splitlines()]
    assert ["postgres", "5", "rows", "'small'"] in table
    assert ["redis", "7", "keys", "'medium'", "at", "scale", "0.1"] in table
    assert "datasets 'small', 'medium' at scale 0.1: equal to what was loaded" in told


def test_a_difference_ends_with_1(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """And each service's first one is named."""
    fake.raises["verify"] = DatasetDiffers("redis as loaded", "1 of 2 services differ\n  - redis: key a is gone", "")
    ended = envctl_run("seed", "--verify")
    assert ended.code == 1
    assert "redis: key a is gone" in ended.err


def test_a_failure_ends_with_1_and_ctrl_c_with_130(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """After Ctrl-C it is said that nothing is lost."""
    fake.raises["seed"] = SeedConflict("room in redis", "a key", "remove it")
    assert envctl_run("seed", "small").code == 1
    fake.raises["seed"] = KeyboardInterrupt()
    ended = envctl_run("seed", "small")
    assert ended.code == 130
    assert "run the same command again: it goes on" in ended.err


def test_a_bar_shows_share_rate_and_remaining_time() -> None:
    """By bytes; by rows where nothing weighs anything."""
    assert seed_view.bar(progress()) == "━━━━━                 25%  25.0 MB/s  6 s left"
    assert seed_view.bar(progress(of_bytes=0, rows=1000)).startswith("━━━━━━━━━━            50%")
    assert "250 rows/s" in seed_view.bar(progress(of_bytes=0, bytes=0))
    assert "left" not in seed_view.bar(progress(bytes=1))
    assert "left" not in seed_view.bar(progress(seconds=0.5))
    assert seed_view.left(progress(seconds=100.0)) == "  5 min 0 s left"
    assert seed_view.bar(progress(bytes=300_000_000)).startswith("━" * seed_view.WIDTH + " 100%")
    assert seed_view.bar(progress(rows=0, bytes=0, seconds=0.0)).strip() == "0%"


def test_progress_is_a_line_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For each service by itself; a load that is over before has none."""
    now = [0.0]
    monkeypatch.setattr("envctl.cli.views.time.monotonic", lambda: now[0])
    lines = views.Lines()
    for moment in (0.0, 1.0, 4.9, 5.1, 6.0, 10.2):
        now[0] = moment
        lines("seed.progress", progress())
        lines("seed.progress", progress(service="kafka"))
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in told] == ["postgres", "kafka", "postgres", "kafka"]
    assert told[0].endswith("25%, 50.0 MB of 200.0 MB; 6 s left")

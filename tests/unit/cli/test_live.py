"""The live table: what a frame shows, drawn onto a terminal of the test's own."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from envctl.cli import output
from envctl.cli.live import LiveTable


def terminal() -> Console:
    """A terminal that keeps what is drawn."""
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


def drawn(table: LiveTable) -> str:
    """One frame."""
    console = Console(file=io.StringIO(), width=100)
    console.print(table._draw())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_follows_its_service_through_the_phases() -> None:
    """One row per service, with the last event's phase and remark."""
    table = LiveTable(console=terminal())
    table("service.started", {"service": "redis"})
    table("service.waiting", {"service": "redis", "attempt": 1, "last_error": "refused"})
    assert drawn(table).splitlines()[1].split()[:2] == ["redis", "starting"]
    assert "refused" in drawn(table)
    table("service.ready", {"service": "redis", "ms": 5, "address": "127.0.0.1:6379"})
    (row,) = drawn(table).splitlines()[1:]
    assert row.split()[:2] == ["redis", "ready"]
    assert row.endswith("127.0.0.1:6379")


def test_the_clock_of_a_ready_service_stands_still() -> None:
    """Its time is what it took."""
    table = LiveTable(console=terminal())
    table("service.started", {"service": "redis"})
    table("service.ready", {"service": "redis", "ms": 5, "address": "a"})
    row = table.rows["redis"]
    assert row.until is not None
    assert row.until >= row.since


def test_images_without_a_service_leave_when_they_are_there() -> None:
    """A built image is no service, and its row would only stand in the way."""
    table = LiveTable(console=terminal())
    table("image.building", {"image": "envctl/redis", "step": "RUN make"})
    assert "RUN make" in drawn(table)
    table("image.built", {"image": "envctl/redis", "seconds": 3})
    assert "envctl/redis" not in drawn(table)


@pytest.mark.parametrize("text", ["[bold]no markup[/bold]", "[/]"])
def test_what_services_say_is_not_taken_for_markup(text: str) -> None:
    """Error texts hold brackets."""
    table = LiveTable(console=terminal())
    table("service.failed", {"service": "redis", "reason": text})
    assert text in drawn(table)
    with table:
        table("port.moved", {"service": "redis", "wanted": 1, "got": 2, "holder": text})


def test_the_table_goes_when_all_went_well_and_stays_as_evidence_when_not() -> None:
    """The endpoints follow in its place; a failure is looked at where it happened."""
    good, bad = LiveTable(console=terminal()), LiveTable(console=terminal())
    with good:
        good("service.started", {"service": "redis"})
    bad.__enter__()
    bad("service.started", {"service": "redis"})
    bad.__exit__(ValueError, ValueError("x"), None)
    assert (good._live.transient, bad._live.transient) == (True, False)


def test_events_come_from_many_threads() -> None:
    """No event is lost, none breaks the drawing."""
    table = LiveTable(console=terminal())
    with table:
        threads = [
            threading.Thread(target=table, args=("service.started", {"service": f"s{number}"})) for number in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(table.rows) == 20


@pytest.mark.parametrize("variable", ["NO_COLOR", "CI"])
def test_no_terminal_is_seen_where_nobody_looks(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR and CI mean plain lines, whatever stdout is."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("CI", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stdout", Screen())
    monkeypatch.setattr("sys.stderr", Screen())
    assert output.is_terminal()
    monkeypatch.setenv(variable, "1")
    assert not output.is_terminal()


def test_a_load_is_a_bar_with_a_clock_of_its_own() -> None:
    """The time that the service took to be ready is over; what is loaded stands still."""
    table = LiveTable(console=terminal())
    table("service.started", {"service": "redis"})
    table("service.ready", {"service": "redis", "ms": 5, "address": "a"})
    ready = table.rows["redis"].since
    numbers = {"rows": 5, "bytes": 50, "of_rows": 10, "of_bytes": 100, "seconds": 1.0}
    table("seed.progress", {"service": "redis", **numbers})
    assert table.rows["redis"].since > ready
    assert "━━━━━━━━━━" in drawn(table)
    assert "50 B/s" in drawn(table)
    table("seed.loaded", {"service": "redis", "rows": 10, "bytes": 100, "seconds": 2.0})
    assert drawn(table).splitlines()[1].split()[:2] == ["redis", "seeded"]
    assert table.rows["redis"].until is not None


def test_the_dataset_itself_is_no_row() -> None:
    """Rows are services."""
    table = LiveTable(console=terminal())
    table("seed.started", {"dataset": "small", "scale": 1.0, "services": {}})
    table("seed.finished", {"dataset": "small", "ms": 5})
    assert table.rows == {}


def test_services_that_are_looked_into_are_rows_from_the_start() -> None:
    """In an environment that is up nothing else names them; what is there already is seeded."""
    table = LiveTable(console=terminal())
    table("seed.started", {"dataset": "small", "scale": 1.0, "services": {"redis": {}, "kafka": {}}})
    table("seed.skipped", {"service": "minio", "reason": "not in this environment"})
    table("seed.skipped", {"dataset": "small", "reason": "loaded already"})
    assert [row.split()[:2] for row in drawn(table).splitlines()[1:]] == [["redis", "looking"], ["kafka", "looking"]]
    table("seed.skipped", {"service": "redis", "reason": "loaded already"})
    assert drawn(table).splitlines()[1].split() == ["redis", "seeded", "0.0s", "loaded", "already"]

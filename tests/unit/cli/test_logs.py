"""`logs`: lines behind names, and the time to begin at."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from envctl.model import LogLine

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli, FakeEnvironment

LINES = [LogLine("postgres", "2025-01-01T00:00:00Z", "ready"), LogLine("redis", "2025-01-01T00:00:01Z", "PONG")]


def test_lines_stand_behind_their_services_name(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Aligned, in the order in which they came."""
    fake.lines = LINES
    assert envctl_run("logs").out == "postgres | ready\nredis    | PONG\n"


def test_options_arrive(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Services, tail, follow; a duration is counted back from now."""
    envctl_run("logs", "redis", "--follow", "--tail", "5", "--since", "10m")
    ((_, (services, more)),) = fake.calls
    assert (services, more["tail"], more["follow"]) == (("redis",), 5, True)
    assert more["since"] == pytest.approx(time.time() - 600, abs=5)


def test_since_takes_a_time(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """ISO-8601, with a zone or in local time."""
    envctl_run("logs", "--since", "2025-01-31T12:00:00+00:00")
    assert fake.calls[0][1][1]["since"] == datetime(2025, 1, 31, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("options", [("--tail", "-1"), ("--tail", "many"), ("--since", "later"), ("--since", "1-2")])
def test_what_is_no_number_or_time_is_refused(envctl_run: Cli, options: tuple[str, str]) -> None:
    """With an example of what is."""
    ended = envctl_run("logs", *options)
    assert ended.code == 2
    assert "for example" in ended.err or "1h30m" in ended.err


def test_json_lines_carry_the_engines_time(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """And end with the result."""
    fake.lines = LINES
    lines = [json.loads(line) for line in envctl_run("logs", "--json").out.splitlines()]
    assert lines[0] == {"at": "2025-01-01T00:00:00Z", "event": "log", "service": "postgres", "text": "ready"}
    assert lines[-1]["event"] == "result"

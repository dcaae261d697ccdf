"""`status` and `ls`: tables for people, one document for machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from envctl import waiting
from envctl.reports import EnvironmentSummary

if TYPE_CHECKING:
    import pytest

    from tests.unit.cli.conftest import Cli, FakeEnvironment


def test_status_shows_one_row_per_service(envctl_run: Cli) -> None:
    """State, address with the other ports, time, restarts, image and its source."""
    out = envctl_run("status").out
    assert out.startswith("shop: ready\nprofiles: core\ndataset: none\nfaults: none\n")
    assert "postgres  ready  127.0.0.1:5432             1.23 s       0         postgres:1, pulled" in out
    assert "127.0.0.1:6380 (tls 6381)" in out


def test_status_as_json_is_the_document_of_the_interface(envctl_run: Cli) -> None:
    """Exactly these keys."""
    document = json.loads(envctl_run("status", "--json").out)
    assert set(document) == {"environment", "state", "profiles", "dataset", "services", "faults"}
    assert set(document["services"]["postgres"]) == {
        *("state", "host", "port", "ports", "image", "image_source", "container", "ready_ms", "restarts")
    }


def test_watch_looks_again_until_it_is_interrupted(envctl_run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document per line with --json."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(waiting, "pause", pause)
    ended = envctl_run("status", "--watch", "--json")
    documents = [json.loads(line) for line in ended.out.splitlines()]
    assert (ended.code, pauses) == (130, [1.0, 1.0])
    assert [document.get("environment") for document in documents] == ["shop", "shop", None]


def test_ls_lists_environments_or_says_that_there_are_none(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """With the time that is left of a time to live."""
    assert "no environments" in envctl_run("ls").out
    fake.summaries = [EnvironmentSummary("shop", "ready", ("redis",), ("core",), "user", "2025-01-01T00:00:00Z", 90.0)]
    row = envctl_run("ls").out.splitlines()[1]
    assert row.split() == ["shop", "ready", "redis", "core", "user", "2025-01-01", "00:00:00", "90.0", "s"]
    (document,) = json.loads(envctl_run("ls", "--json").out)["environments"]
    assert (document["name"], document["ttl_left"]) == ("shop", 90.0)

"""`down` and `gc`: what is removed, what is left, and the exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from envctl.model import Leak
from envctl.reports import DownReport, GcReport

if TYPE_CHECKING:
    from envctl.model import Resource
    from tests.unit.cli.conftest import Cli, FakeEnvironment


def test_down_counts_what_it_removed_and_says_that_nothing_is_left(
    envctl_run: Cli, fake: FakeEnvironment, removed: tuple[Resource, ...]
) -> None:
    """The sentence that people wait for."""
    fake.down_report = DownReport(("shop",), removed)
    ended = envctl_run("down")
    assert (ended.code, ended.out) == (0, "removed 2 containers, 1 network; nothing is left\n")
    assert fake.calls == [("down", {"everything": False, "check": True, "grace": 0.0})]


def test_down_passes_its_options_on(envctl_run: Cli, fake: FakeEnvironment, removed: tuple[Resource, ...]) -> None:
    """And claims no proof where none was asked for."""
    fake.down_report = DownReport(("a", "b"), removed)
    assert "not checked" in envctl_run("down", "--all", "--no-check", "--grace", "1.5").out
    assert fake.calls == [("down", {"everything": True, "check": False, "grace": 1.5})]
    assert envctl_run("down", "--grace", "soon").code == 2


def test_down_of_nothing_is_fine(envctl_run: Cli) -> None:
    """Idempotent, and says what was not there."""
    ended = envctl_run("down")
    assert (ended.code, ended.out) == (0, "nothing to remove: no environment is named 'shop'\n")


def test_leaks_end_with_3_and_each_is_named_with_its_reason(
    envctl_run: Cli, fake: FakeEnvironment, removed: tuple[Resource, ...]
) -> None:
    """In words and as data."""
    leak = Leak("volume", "docker", "envctl-shop_data", "in use by container other")
    fake.down_report = DownReport(("shop",), removed, (leak,))
    ended = envctl_run("down", "--json")
    assert ended.code == 3
    assert "volume envctl-shop_data (docker): in use by container other" in ended.err
    result = json.loads(ended.out.splitlines()[-1])
    assert (result["ok"], result["exit_code"], result["error"]) == (False, 3, "LeakFound")


def test_down_with_json_lists_what_was_removed(
    envctl_run: Cli, fake: FakeEnvironment, removed: tuple[Resource, ...]
) -> None:
    """Kind, name and id of each."""
    fake.down_report = DownReport(("shop",), removed)
    result = json.loads(envctl_run("down", "--json").out)
    assert result["removed"][0] == {
        "kind": "container",
        "name": "envctl-shop-postgres",
        "id": "id-postgres",
        "environment": "shop",
    }
    assert (result["environments"], result["leaks"]) == (["shop"], [])


def test_gc_says_what_goes_and_what_stays_and_why(
    envctl_run: Cli, fake: FakeEnvironment, removed: tuple[Resource, ...]
) -> None:
    """The reason is the proof."""
    fake.gc_report = GcReport(removed, (("old", "its owner, process 7, is dead"),), (("shop", "a user made it"),))
    assert envctl_run("gc").out == "removed old: its owner, process 7, is dead\nkept shop: a user made it\n"
    assert "would remove old" in envctl_run("gc", "--dry-run").out
    assert fake.calls == [("gc", {"dry_run": False}), ("gc", {"dry_run": True})]
    result = json.loads(envctl_run("gc", "--json").out)
    assert result["kept"] == [{"environment": "shop", "reason": "a user made it"}]

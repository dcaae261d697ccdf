"""What is wrong with a scenario is said at once: file, line, key, and the nearest name; before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError, UnknownName
from envctl.scenarios import reading
from envctl.scenarios.model import Hurt, Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = """\
description: Redis is frozen.
profile: core
seed: 7
duration: 1m
probes:
  alive: {redis: PING, expect: {equals: PONG}, roles: [before, during, after], every: 200ms, tolerate: 3}
  rows:
    sql: SELECT 1
    expect: {equals: 1, tolerate: 0}
steps:
  - fault: pause
    service: redis
    for: 2s
  - fault: kill-mid-transaction
    service: postgres
    with: {after-rows: 10, table: orders}
    when: {topic-lag: {group: g, topic: t}, expect: {more_than: 100}, within: 30s}
abort_when:
  - {probe: alive, fails: 5}
recovery: {within: 20s, services: [redis], probes: [alive]}
""".replace(", tolerate: 0}", "}")


def problems(file: Path) -> list[str]:
    """What is said of a file, without its folder."""
    with pytest.raises(ConfigurationError) as caught:
        reading.load(file)
    return [str(problem).replace(f"{file}:", "") for problem in caught.value.problems]


def test_a_right_one_is_read_with_all_that_it_says(written: Callable[..., Path]) -> None:
    """Times are seconds, profiles are services, options are parameters."""
    scenario = reading.load(written(GOOD)).scenario
    assert (scenario.name, scenario.seed, scenario.duration) == ("mine", 7, 60.0)
    assert scenario.services == ("postgres", "redis")
    assert scenario.probes["alive"].roles == frozenset(Role)
    first, second = scenario.steps.steps
    assert isinstance(first, Hurt)
    assert isinstance(second, Hurt)
    assert (first.lasts, second.given) == (2.0, {"after_rows": 10, "table": "orders"})
    assert second.when is not None
    assert second.when.within == 30.0
    assert scenario.recovery.services == ("redis",)


def test_every_problem_is_told_at_once_with_its_line(written: Callable[..., Path]) -> None:
    """And with the nearest name."""
    bad = (
        GOOD.replace("profile: core", "profile: cor")
        .replace("redis: PING", "reddis: PING")
        .replace("fault: pause", "fault: pauze")
        .replace("service: postgres", "service: postgress")
        .replace("after-rows: 10", "after-row: 10")
        .replace("[redis]", "[redys]")
        .replace("probe: alive, fails: 5", "probe: alife, fails: 0")
        .replace("for: 2s", "for: soon")
    )
    found = problems(written(bad))
    assert found == sorted(found, key=lambda text: int(text.partition(":")[0]))
    for told in (
        "2: profile: no profile is named 'cor'; did you mean 'core'?",
        "6: probes.alive.reddis: unknown key; did you mean 'redis'?",
        "6: probes.alive: must have exactly one of sql",
        "11: steps.0.fault: no fault is named 'pauze'; did you mean 'pause'?",
        "13: steps.0.for: must be a time above 0",
        "15: steps.1.service: no service is named 'postgress'; did you mean 'postgres'?",
        "16: steps.1.with.after-row: no parameter of kill-mid-transaction is named 'after_row'; did you mean",
        "19: abort_when.0.probe: no probe is named 'alife'; did you mean 'alive'?",
        "19: abort_when.0.fails: must be a whole number from 1",
        "20: recovery.services.0: no service is named 'redys'; did you mean 'redis'?",
    ):
        assert any(told in text for text in found), f"{told}\nnot in\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("for: 2s", "for: 0s"), "steps.0.for: must be a time above 0"),
        (("    service: redis\n", ""), "steps.0: 'service' is missing"),
        (("fault: pause", "fault: pause\n    wait: 1s"), "steps.0: must have exactly one of fault"),
        (("for: 2s", "for: 2s\n    background: stop"), "steps.0.background: stands beside `run`"),
        (("fault: pause", "fault: kill-mid-transaction\n    with: {at: noon}"), "steps.0.with: --at: wanted one of"),
        (("after-rows: 10", "after-rows: many"), "steps.1.with.after-rows: wanted a whole number"),
        (("service: postgres", "service: zookeeper"), "steps.1.fault: not on zookeeper"),
        (("equals: PONG", "status: 200"), "probes.alive.expect.status: is for `http`, and this is `redis`"),
        (("equals: PONG", "equals: PONG, tolerance: 1"), "tolerance: stands beside `equals`, which must be a number"),
        (("equals: PONG", "matches: '('"), "probes.alive.expect.matches: is no regular expression"),
        (("equals: PONG", "at_least: 3, at_most: 2"), "nothing is both above 3 and below 2"),
        (("roles: [before, during, after], ", ""), "probes.alive.every: has no meaning without the role `during`"),
        (("sql: SELECT 1", "sql: SELECT 1\n    with: {a: 1}"), "probes.rows.with: stands beside `python` only"),
        (("sql: SELECT 1", 'command: "\'"'), "probes.rows.command: cannot be taken apart"),
        (("sql: SELECT 1", "python: none.py:here"), "probes.rows.python: cannot be loaded: FileNotFoundError"),
        (("sql: SELECT 1", "python: json:nothing"), "probes.rows.python: json has no function 'nothing'"),
        (("sql: SELECT 1", "python: other.py:two"), "probes.rows.python: cannot be called with the environment"),
        (("sql: SELECT 1", "python: broken.py:two"), "probes.rows.python: cannot be loaded: ZeroDivisionError"),
        (("sql: SELECT 1", "http: http://{minnio}/x"), "probes.rows.http: no service is named 'minnio'; did you mean"),
        (("sql: SELECT 1", "http: http://{minio:x}/"), "probes.rows.http: no port of minio is named 'x'"),
        (("more_than: 100", "more_than: lots"), "steps.1.when.expect.more_than: must be a number"),
        (("topic: t", "topik: t"), "steps.1.when.topic-lag.topik: unknown key; did you mean 'topic'?"),
        (("within: 20s", "within: 20 s"), "recovery.within: must be a time"),
        (("seed: 7", "seed: seven"), "seed: must be a whole number"),
        (("steps:", "steps:\n  - parallel: [{wait: 1s}, {wiat: 1s}]"), "steps.0.parallel.1.wiat: unknown key"),
        (("steps:", "steps:\n  - random: {faults: [{wait: 1s}]}"), "steps.0.random.faults.0: must be a fault"),
        (("steps:", "steps:\n  - random: {faults: [{fault: pause, service: redis}], between: 3s..1s}"), "shortest"),
        (("steps:", "steps:\n  - repeat: 3"), "steps.0: 'steps' is missing"),
        (("steps:", "steps:\n  - until: {probe: alive, expect: {equals: 1}}"), "stands in `probes`"),
        (("steps:", "steps:\n  -"), "steps.0: must be a step"),
        (("seed: 7", "seed: 7\nseed: 8"), "seed: written twice, first in line 3"),
        (("probes:", "pobes:"), "'probes' is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_told(written: Callable[..., Path], change: tuple[str, str], told: str) -> None:
    """By its key."""
    found = problems(written(GOOD.replace(*change), other="def two(env, one):\n    pass\n", broken="1 / 0\n"))
    assert any(told in text for text in found), found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("   \n\n", "is empty"),
        ("- a list\n", "must be a mapping of keys to values"),
        ("just words\n", "must be a mapping of keys to values"),
        ("steps: [{wait: 1s}\n", "broken YAML"),
        ("\tsteps: 1\n", "broken YAML"),
        ("steps: &a [*a]\nprobes: {}\n", "steps.0"),
    ],
)
def test_what_is_no_scenario_is_told(written: Callable[..., Path], text: str, told: str) -> None:
    """Empty, of another form, no YAML, and one that contains itself."""
    assert any(told in found for found in problems(written(text)))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Not there; no file; not text."""
    with pytest.raises(ConfigurationError, match="no such file"):
        reading.load("./nothing.yaml")
    with pytest.raises(ConfigurationError, match="is a folder"):
        reading.load(f"{tmp_path}/")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert "no UTF-8" in problems(tmp_path / "bytes.yaml")[0]


@pytest.mark.parametrize("cut", range(1, len(GOOD) - 1, 7))
def test_a_file_that_was_cut_anywhere_within_a_line_is_refused(written: Callable[..., Path], cut: int) -> None:
    """Half of a scenario is often a valid one: that its last line does not end gives it away."""
    if GOOD[cut - 1] != "\n":
        assert problems(written(GOOD[:cut]))


def test_a_name_that_is_none_is_told_with_the_nearest() -> None:
    """Of those that ship."""
    with pytest.raises(UnknownName, match="did you mean 'slow-network'"):
        reading.load("slow-netwrk")


def test_a_mapping_does_as_well_as_a_file() -> None:
    """Its problems have keys, and no file; it is left as it was."""
    given = {"probes": {"one": {"sql": "SELECT 1"}}, "steps": [{"fault": "pauze", "service": "redis"}]}
    with pytest.raises(ConfigurationError) as caught:
        reading.load(given)
    assert [str(problem) for problem in caught.value.problems] == [
        "steps.0.fault: no fault is named 'pauze'; did you mean 'pause'?"
    ]
    assert given["steps"] == [{"fault": "pauze", "service": "redis"}]


def test_a_parameter_goes_by_each_of_its_names(written: Callable[..., Path]) -> None:
    """`--from` on the command line is `from` here."""
    text = GOOD.replace("fault: pause", "fault: partition\n    with: {from: postgres}")
    hurt = reading.load(written(text)).scenario.hurts()[0]
    assert hurt.given == {"peer": "postgres"}

"""Faults: what journal, proof and warden cost over the bare act, and how quick revoking and restoring are."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from operator import truediv
from statistics import median
from typing import TYPE_CHECKING

import docker
import psycopg
from compared import ENVCTL, Row, seconds

from envctl import attach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envctl.environment import Environment

NAME = "envctl-bench-chaos"
OVER_BARE = 150.0
"""Milliseconds that a process fault may cost over the engine's bare call."""

REVOKED = 50.0
"""Milliseconds in which a credential is revoked, and given back, with proof."""

INSERTS, BLOCK = 10_000, 100
"""How many in all, and how many of one kind in a row."""


@contextmanager
def running() -> Iterator[Environment]:
    """PostgreSQL and Redis, and none afterwards."""
    seconds([str(ENVCTL), "--env", NAME, "-q", "up", "--profile", "core", "--ports", "auto"])
    try:
        yield attach(NAME)
    finally:
        seconds([str(ENVCTL), "--env", NAME, "-q", "down"])


def timed(act: Callable[[], object]) -> tuple[float, object]:
    """Milliseconds of an act, and its result."""
    started = time.perf_counter()
    result = act()
    return (time.perf_counter() - started) * 1000, result


def chaos(runs: int) -> list[Row]:
    """All rows."""
    with running() as env:
        return [*processes(env, runs), *credentials(env, runs), *gate(env, runs)]


def processes(env: Environment, runs: int) -> list[Row]:
    """Inject with proof, and heal with proof, against the engine's bare calls on the same container."""
    container = docker.from_env().containers.get(f"envctl-{NAME}-redis-1")
    bare = {
        "pause": (container.pause, container.unpause),
        "kill": (container.kill, container.start),
        "stop": (lambda: container.stop(timeout=10), container.start),
    }
    rows = []
    for fault, (hurt, mend) in bare.items():
        ours: list[tuple[float, float]] = []
        theirs: list[tuple[float, float]] = []
        for _ in range(runs + 1):
            theirs.append((timed(hurt)[0], timed(mend)[0]))
            env.wait(["redis"])
            inject, injection = timed(partial(env.chaos.call, fault, "redis", {}))
            ours.append((inject, timed(injection.heal)[0]))
            env.wait(["redis"])
        for index, what in enumerate(("inject and verify", "heal and verify")):
            mine, other = median(one[index] for one in ours[1:]), median(one[index] for one in theirs[1:])
            rows.append(Row(f"{fault}: {what}, over the bare call / 150 ms", mine - other, OVER_BARE, "ms", "≤ 1"))
    return rows


def credentials(env: Environment, runs: int) -> list[Row]:
    """Revoke and restore, each with its proof."""
    rows = []
    for service in ("postgres", "redis"):
        times = []
        for _ in range(runs + 1):
            revoke, injection = timed(partial(env.chaos.revoke_credentials, service))
            times.append((revoke, timed(injection.heal)[0]))
        for index, what in enumerate(("revoke", "restore")):
            mine = median(one[index] for one in times[1:])
            rows.append(Row(f"{service}: {what} and verify / 50 ms", mine, REVOKED, "ms", "≤ 1"))
    return rows


def gate(env: Environment, runs: int) -> list[Row]:
    """10,000 inserts beside a gate that waits for somebody else; and how soon a verdict is there."""
    gated, free, ratio = beside_a_gate(env, runs)
    told = [verdict_after(env) for _ in range(runs)]
    return [
        Row("10,000 inserts beside a gate for another / without", gated, free, "s", "≤ 1.05", ratio),
        Row("verdict, after the server answered again / 300 ms", median(told), 300.0, "ms", "≤ 1"),
    ]


def beside_a_gate(env: Environment, runs: int) -> tuple[float, float, float]:
    """Seconds of all inserts into a table with a gate for somebody else, of those into one without, and the ratio.

    In short blocks, one after the other, by one session: what a gate costs, some microseconds an insert, is less than
    what a second differs from the next. The ratio is the median of those of neighbours, which first is changes.
    """
    with env.postgres.connect(autocommit=True) as db:
        for table in ("bench_rows", "bench_free"):
            db.execute(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id bigserial PRIMARY KEY, text text)")
    aim = {"table": "bench_rows", "after_rows": 1, "application": "somebody-else"}
    injection = env.chaos.kill_mid_transaction("postgres", duration="10m", **aim)
    with env.postgres.connect() as db, db.cursor() as cursor:

        def inserts(insert: str) -> float:
            started = time.perf_counter()
            for _ in range(BLOCK):
                cursor.execute(insert)
            db.commit()
            return time.perf_counter() - started

        gated, free = [], []
        both = [
            (gated, "INSERT INTO bench_rows (text) VALUES ('x')"),
            (free, "INSERT INTO bench_free (text) VALUES ('x')"),
        ]
        for turn in range(runs * INSERTS // BLOCK):
            for times, insert in both if turn % 2 else reversed(both):
                times.append(inserts(insert))
    injection.heal()
    blocks = INSERTS / BLOCK
    return median(gated) * blocks, median(free) * blocks, median(map(truediv, gated, free))


def verdict_after(env: Environment) -> float:
    """Milliseconds from the killed server's first answer to the verdict."""
    kill = env.chaos.kill_mid_transaction("postgres", table="bench_rows", after_rows=3)
    try:
        with env.postgres.connect() as db:
            for _ in range(5):
                db.execute("INSERT INTO bench_rows (text) VALUES ('victim')")
    except psycopg.OperationalError:
        pass
    while True:
        try:
            env.postgres.connect(connect_timeout=2).close()
            break
        except psycopg.OperationalError:
            continue
    took, _ = timed(lambda: kill.verdict)
    kill.heal()
    return took


MEASURES = {"chaos": chaos}

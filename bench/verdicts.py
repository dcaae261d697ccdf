"""Kills in the middle of a bank's transfers, every verdict held against what the clients were told; and what a gate
costs those who do not come to it.

    python bench/verdicts.py [--kills 200] [--gate 15]
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

import envctl
from tests.scenarios.bank import ACCOUNTS, OPENING, Audit, Bank

if TYPE_CHECKING:
    from envctl.environment import Environment

AIMS = (
    {"table": "transfers", "after_rows": 1},
    {"table": "accounts", "after_rows": 2, "operation": "update"},
    {"table": "transfers", "at": "commit"},
    {"table": "transfers", "at": "in-doubt"},
    {"application": "bank"},
)
ROWS = 10_000


def verdicts(env: Environment, kills: int) -> None:
    """Kill so often, and stop at the first verdict that is wrong."""
    in_doubt: set[int] = set()
    recovery, judged = [], []
    with Bank(env) as bank:
        for turn in range(kills):
            bank.wait_for_transfers(5)
            aim, means = AIMS[turn % len(AIMS)], "backend" if turn % 4 == 3 else "server"
            with env.chaos.kill_mid_transaction("postgres", duration="120s", means=means, **aim) as kill:
                verdict = kill.verdict
            bank.wait_for_transfers(5)
            audit = Audit(env, bank.ledger)
            assert audit.total == ACCOUNTS * OPENING, "the balances do not conserve"
            assert not audit.lost, f"acknowledged and lost: {audit.lost}"
            assert not audit.half_done, f"half a transfer: {audit.half_done}"
            assert not audit.wrong_about(verdict), f"{audit.wrong_about(verdict)}\n{verdict}"
            assert not verdict.problems, str(verdict)
            in_doubt |= {one.facts["xid"] for one in verdict.in_doubt}
            recovery.append(verdict.recovery_ms)
            judged.append(verdict.facts["verdict_ms"])
            fates = ", ".join(str(one.fate) for one in verdict.transactions)
            print(f"{turn + 1:4} {means:8} {verdict.recovery_ms:6} ms  {judged[-1]:4} ms  {fates}", flush=True)
    never_told = Audit(env, bank.ledger).never_told
    assert never_told == in_doubt, f"in doubt by the tokens {never_told}, by the verdicts {in_doubt}"
    print(f"{kills} kills, {len(bank.ledger.acknowledged)} transfers acknowledged, {len(in_doubt)} in doubt: all right")
    print(
        f"recovery {statistics.median(recovery):.0f} ms; verdict after it {statistics.median(judged):.0f} ms (median)"
    )


def gate(env: Environment, runs: int) -> None:
    """The same inserts without a gate and past one that is meant for others, in turn."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS rows; CREATE TABLE rows (id bigint PRIMARY KEY, note text)")

    def insert(*, each: bool) -> float:
        with env.postgres.connect(autocommit=True) as db:
            db.execute("TRUNCATE rows")
            started = time.perf_counter()
            with db.transaction():
                if each:
                    for number in range(ROWS):
                        db.execute("INSERT INTO rows VALUES (%s, 'note')", [number])
                else:
                    db.execute("INSERT INTO rows SELECT n, 'note' FROM generate_series(1, %s) n", [ROWS])
            return time.perf_counter() - started

    for what, aim in (("another application", {"application": "other"}), ("other rows", {"where": "id < 0"})):
        for each in (True, False):
            pairs = []
            for _ in range(runs):
                plain = insert(each=each)
                kill = env.chaos.kill_mid_transaction("postgres", table="rows", duration="10m", **aim)
                armed = insert(each=each)
                kill.heal()
                pairs.append((plain, armed))
            plain, armed = (statistics.median(one) for one in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            way = "one by one" if each else "in one statement"
            print(f"{ROWS} inserts {way}, gate for {what}: {plain:.3f} s, {armed:.3f} s, ratio {ratio:.3f}", flush=True)


def main() -> None:
    """An environment of its own; gone afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--gate", type=int, default=15)
    options = parser.parse_args()
    with envctl.up(name=f"verdicts-{secrets.token_hex(4)}", services=["postgres"], ports="auto") as env:
        if options.gate:
            gate(env, options.gate)
        if options.kills:
            verdicts(env, options.kills)


if __name__ == "__main__":
    main()

"""A bank under load: ordinary clients that move money, and remember what they were told."""

from __future__ import annotations

import random
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psycopg

from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from envctl.environment import Environment
    from envctl.reports import Verdict

ACCOUNTS, OPENING = 20, 1000
APPLICATION = "bank"
_LAST_CALL = 60.0
"""Seconds for a client to end."""

SCHEMA = """
DROP TABLE IF EXISTS transfers, accounts;
CREATE TABLE accounts (id integer PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE transfers (
  token uuid PRIMARY KEY, source integer NOT NULL, target integer NOT NULL, amount bigint NOT NULL)
"""
ENDOWMENT = "INSERT INTO accounts SELECT number, %s FROM generate_series(1, %s) number"


@dataclass
class Ledger:
    """What the clients know: every transfer's token by its transaction's number, and those that were acknowledged."""

    tokens: dict[int, uuid.UUID] = field(default_factory=dict)
    acknowledged: set[uuid.UUID] = field(default_factory=set)


class Bank:
    """Clients that transfer money until the block ends. They come back by themselves when the server does."""

    def __init__(self, env: Environment, clients: int = 4) -> None:
        self._env, self._over, self.ledger = env, threading.Event(), Ledger()
        self._threads = [threading.Thread(target=self._work, args=(seed,), daemon=True) for seed in range(clients)]
        self._bugs: list[BaseException] = []

    def __enter__(self) -> Self:
        with self._env.postgres.connect(autocommit=True) as db:
            db.execute(SCHEMA)
            db.execute(ENDOWMENT, [OPENING, ACCOUNTS])
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_LAST_CALL)
        if self._bugs:
            raise self._bugs[0]
        if kind is None:  # what went wrong before says why they hang
            assert [thread.name for thread in self._threads if thread.is_alive()] == []

    def wait_for_transfers(self, more: int) -> None:
        """Until so many more were acknowledged."""
        wanted = len(self.ledger.acknowledged) + more

        def enough() -> None:
            if self._bugs:
                raise self._bugs[0]
            if (now := len(self.ledger.acknowledged)) < wanted:
                raise NotReady(f"{now} of {wanted}")

        until(enough, 120, "the bank works")

    def _work(self, seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - amounts, to be had again
        while not self._over.is_set():
            try:
                with self._env.postgres.connect(application_name=APPLICATION, connect_timeout=10) as db:
                    while not self._over.is_set():
                        token = uuid.UUID(int=dice.getrandbits(128))
                        with self._env.chaos.operation("transfer", token=str(token)):
                            self._transfer(db, dice, token)
            except psycopg.OperationalError:
                self._over.wait(0.02)
            except BaseException as bug:
                self._bugs.append(bug)
                raise

    def _transfer(self, db: psycopg.Connection, dice: random.Random, token: uuid.UUID) -> None:
        amount = dice.randint(1, 9)
        source, target = sorted(dice.sample(range(1, ACCOUNTS + 1), 2))
        change = "UPDATE accounts SET balance = balance + %s WHERE id = %s"
        db.execute(change, [-amount, source])
        [[number]] = db.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()
        self.ledger.tokens[number] = token
        db.execute(change, [amount, target])
        db.execute("INSERT INTO transfers VALUES (%s, %s, %s, %s)", [token, source, target, amount])
        db.commit()
        self.ledger.acknowledged.add(token)


class Audit:
    """What is in the database now, against what the clients were told before, and against a verdict."""

    def __init__(self, env: Environment, ledger: Ledger) -> None:
        acknowledged, tokens = set(ledger.acknowledged), dict(ledger.tokens)
        with env.postgres.connect() as db:
            db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self.there = {row[0] for row in db.execute("SELECT token FROM transfers").fetchall()}
            balances = dict(db.execute("SELECT id, balance FROM accounts").fetchall())
            moved = db.execute("SELECT source, target, amount FROM transfers").fetchall()
        expected = dict.fromkeys(range(1, ACCOUNTS + 1), OPENING)
        for source, target, amount in moved:
            expected[source] -= amount
            expected[target] += amount
        self.lost = acknowledged - self.there
        self.half_done = {key: (balances[key], expected[key]) for key in expected if balances[key] != expected[key]}
        self.total = sum(balances.values())
        self._acknowledged, self._tokens = acknowledged, tokens

    def wrong_about(self, verdict: Verdict) -> list[str]:
        """Transactions of the bank whose fate the verdict tells differently from the tokens; and those that it calls
        in doubt, but whose client was told.
        """
        found = []
        for one in verdict.transactions:
            number = one.facts["xid"]
            if one.facts["application"] != APPLICATION or number not in self._tokens:
                continue
            token = self._tokens[number]
            told = {
                "committed": token in self.there,
                "in-doubt": token in self.there,
                "rolled-back": token not in self.there,
            }
            if not told[one.fate]:
                found.append(f"{one}: token {'present' if token in self.there else 'absent'}")
            if one.fate == "in-doubt" and token in self._acknowledged:
                found.append(f"{one}: its client was told")
        return found

    @property
    def never_told(self) -> set[int]:
        """The numbers of transactions that are there without an acknowledgement: in doubt, when nobody works."""
        told = self._acknowledged
        return {number for number, token in self._tokens.items() if token in self.there and token not in told}

"""What a kill in the middle of a transaction can be aimed at, and what is said of an aim that cannot be."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from envctl.errors import ConfigurationError, FaultDidNotBite, VictimNeverCame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.environment import Environment

SERVICES = ["postgres"]

WRITES = {
    "insert": "INSERT INTO plain VALUES (9)",
    "update": "UPDATE plain SET total = 2 WHERE id = 1",
    "delete": "DELETE FROM plain WHERE id = 2",
}

SCHEMA = """
DROP SCHEMA IF EXISTS "Odd Schema" CASCADE; DROP TABLE IF EXISTS "OrderItems", events, plain CASCADE;
CREATE SCHEMA "Odd Schema";
CREATE TABLE "Odd Schema"."Odd ""Table" (id integer, "Total Sum" numeric);
CREATE TABLE "OrderItems" (id integer, "order" integer);
CREATE TABLE events (id integer, day date) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
CREATE TABLE plain (id integer PRIMARY KEY, total integer, note text);
CREATE VIEW seen AS SELECT * FROM plain;
"""


@pytest.fixture(autouse=True)
def tables(env: Environment) -> Iterator[None]:
    """Tables with all kinds of names; nothing of a gate is left in them."""
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect(autocommit=True) as db:
        db.execute(SCHEMA)
    yield
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect() as db:
        assert db.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'envctl%'").fetchall() == []
        assert db.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal").fetchall() == []


@pytest.mark.parametrize(
    ("table", "statement", "where"),
    [
        ('"Odd Schema"."Odd ""Table"', 'INSERT INTO "Odd Schema"."Odd ""Table" VALUES (1, 2)', '"Total Sum" > 1'),
        ('Odd "Table', 'INSERT INTO "Odd Schema"."Odd ""Table" VALUES (1, 2)', ""),
        ("OrderItems", 'INSERT INTO "OrderItems" VALUES (1, 2)', '"OrderItems"."order" = 2'),
        ("public.events", "INSERT INTO events VALUES (1, '2026-11-21')", "extract(year FROM day) = 2026"),
        ("events_2", "INSERT INTO events VALUES (1, '2026-11-21')", ""),
        ("app.public.plain", "INSERT INTO plain VALUES (1)", "id IN (SELECT generate_series(1, 3)) -- a comment"),
    ],
)
def test_a_table_is_found_by_its_name_as_people_write_it(
    env: Environment, table: str, statement: str, where: str
) -> None:
    """Quoted, mixed case, qualified by schema and database, partitioned and a partition; with a condition on a row."""
    kill = env.chaos.kill_mid_transaction("postgres", table=table, where=where, means="terminate")
    with kill, pytest.raises(psycopg.OperationalError), env.postgres.connect() as db:
        db.execute(statement.encode())
    assert kill.verdict.clean


@pytest.mark.parametrize(("operation", "statement"), WRITES.items())
def test_only_the_operation_that_is_asked_for_counts(env: Environment, operation: str, statement: str) -> None:
    """The others go by; `any` stops at each of them."""
    others = {sql for name, sql in WRITES.items() if name != operation}
    for aimed in (operation, "any"):
        with env.postgres.connect(autocommit=True) as db:
            db.execute("TRUNCATE plain; INSERT INTO plain VALUES (1), (2)")
        kill = env.chaos.kill_mid_transaction("postgres", table="plain", operation=aimed, means="terminate")
        with kill, env.postgres.connect() as db:
            if aimed != "any":
                for other in sorted(others):
                    db.execute(other.encode())
            with pytest.raises(psycopg.OperationalError):
                db.execute(statement.encode())
        assert kill.verdict.rolled_back[0].facts["query"] == statement


def test_rows_that_do_not_match_and_other_clients_go_by(env: Environment) -> None:
    """The condition, the application and the role are all demanded; a row that a savepoint took back does not count."""
    aim = {"table": "plain", "after_rows": 2, "where": "total > 10", "application": "shop", "role": "app"}
    with env.chaos.kill_mid_transaction("postgres", means="terminate", **aim) as kill:
        with env.postgres.connect(application_name="another") as db:
            db.execute("INSERT INTO plain SELECT number, 20 FROM generate_series(1, 5) number")
        with env.postgres.connect(application_name="shop") as db:
            db.execute("INSERT INTO plain SELECT number, 5 FROM generate_series(10, 15) number")
            with db.transaction(force_rollback=True):
                db.execute("INSERT INTO plain VALUES (20, 20)")
            db.execute("INSERT INTO plain VALUES (21, 20)")
        with env.postgres.connect(application_name="shop") as db:
            db.execute("INSERT INTO plain VALUES (30, 20)")
            with pytest.raises(psycopg.OperationalError):
                db.execute("INSERT INTO plain VALUES (31, 20)")
    assert kill.verdict.rolled_back[0].facts["query"] == "INSERT INTO plain VALUES (31, 20)"


def test_a_victim_that_never_comes_is_told_and_the_gate_is_gone(env: Environment) -> None:
    """At the end of the block, and when the time is over."""
    with pytest.raises(VictimNeverCame, match="plain"), env.chaos.kill_mid_transaction("postgres", table="plain"):
        pass
    kill = env.chaos.kill_mid_transaction("postgres", at="in-doubt", table="plain", duration="1s")
    with pytest.raises(VictimNeverCame):
        _ = kill.verdict
    kill.heal()
    with env.postgres.connect() as db:
        db.execute("INSERT INTO plain VALUES (1)")


def test_everything_that_is_wrong_with_an_aim_is_said_at_once(env: Environment) -> None:
    """By the parameters alone and by what the server knows; nothing is changed, and the exit code is 2."""
    with pytest.raises(ConfigurationError) as wrong:
        env.chaos.kill_mid_transaction(
            "postgres", table="plian", after_rows=3, after_statements=3, at="comit", means="axe", role="ap"
        )
    said = str(wrong.value)
    assert wrong.value.exit_code == 2
    for part in ("one of open, commit, in-doubt", "'axe'", "wanted one of them", "did you mean 'plain'", "mean 'app'"):
        assert part in said, part
    assert env.chaos.status() == []


@pytest.mark.parametrize(
    ("aim", "reason"),
    [
        ({"table": "seen"}, "a view"),
        ({"table": "pg_class"}, "the server's own"),
        ({"table": "nowhere.app.plain"}, "no database is named 'nowhere'"),
        ({"table": "plain", "where": "totl > 1"}, 'column "totl" does not exist'),
        ({"table": "plain", "where": "true); DROP TABLE plain; SELECT (true"}, "cannot insert multiple commands"),
        ({"where": "quury ~ 'x'"}, 'column "quury" does not exist'),
        ({"at": "commit"}, "wanted --table"),
        ({"after_rows": 3}, "wanted --table"),
        ({"role": "envctl"}, "envctl's own"),
        ({"means": "backend", "restart": False}, "after which it is up"),
    ],
)
def test_an_aim_that_cannot_be_is_refused_with_the_reason(
    env: Environment, aim: dict[str, object], reason: str
) -> None:
    """Each alone, and the table is still there."""
    with pytest.raises(ConfigurationError, match=reason):
        env.chaos.kill_mid_transaction("postgres", **aim)
    with env.postgres.connect() as db:
        db.execute("SELECT FROM plain")


def test_a_locked_table_is_told_with_whoever_locks_it(env: Environment) -> None:
    """And it is no longer waited for: a gate that waits would keep everybody else waiting behind it."""
    with env.postgres.connect(application_name="migration") as locker:
        locker.execute("LOCK TABLE plain IN SHARE ROW EXCLUSIVE MODE")
        with pytest.raises(FaultDidNotBite, match=r"plain is locked by pid \d+ \(migration, as app"):
            env.chaos.kill_mid_transaction("postgres", table="plain")
    assert env.chaos.status() == []


def test_a_victim_that_waits_when_it_is_healed_goes_on_and_commits(env: Environment) -> None:
    """The gate opens before it is removed: else healing would wait for the victim, and the victim for it."""
    kill = env.chaos.kill_mid_transaction("postgres", table="plain", after_rows=5, duration="120s")
    with env.postgres.connect() as db:
        db.execute("INSERT INTO plain SELECT number FROM generate_series(1, 4) number")
        healing = threading.Thread(target=kill.heal, daemon=True)
        healing.start()
        kill._stop.wait(30)
        db.execute("INSERT INTO plain VALUES (5)")
        db.commit()
    healing.join(120)
    assert kill.healed is not None
    assert isinstance(kill.failure, VictimNeverCame)

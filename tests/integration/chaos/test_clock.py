"""A wrong clock: each service says another time, in live sessions and new ones, and the right one afterwards."""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING

import pytest
from minio.error import S3Error

from envctl.catalog import SERVICES
from envctl.errors import ConfigurationError, FaultConflict
from envctl.faults.clock_skew import ClockSkew

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import docker
    import psycopg

    from envctl.environment import Environment

REGISTERED = SERVICES
SERVICES = ["postgres", "redis", "minio", "kafka"]
DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)


def test_postgresql_says_another_day_in_live_sessions_and_new_ones_and_the_right_one_afterwards(
    env: Environment,
) -> None:
    """Timers are not touched: a sleep takes as long as ever."""
    with env.postgres.connect(autocommit=True) as live:
        with env.chaos.clock_skew("postgres", offset="-1d"), env.postgres.connect(autocommit=True) as new:
            for session in (live, new):
                assert abs(_now(session) + DAY - _real()) < MINUTE
            live.execute("SET statement_timeout = '30s'")
            live.execute("SELECT pg_sleep(0.1)")
        assert abs(_now(live) - _real()) < MINUTE
        with env.postgres.connect(autocommit=True) as new:
            assert abs(_now(new) - _real()) < MINUTE


def test_keys_of_redis_end_before_their_time(env: Environment) -> None:
    """A day is over for a key that has an hour."""
    live = env.redis.client()
    live.set("test:hour", "1", ex=3600)
    live.set("test:ever", "1")
    with env.chaos.clock_skew("redis", offset="+1d"):
        assert live.get("test:hour") is None
        assert live.get("test:ever") == b"1"
        assert abs(dt.datetime.fromtimestamp(live.time()[0], dt.UTC) - DAY - _real()) < MINUTE
    assert abs(dt.datetime.fromtimestamp(live.time()[0], dt.UTC) - _real()) < MINUTE
    live.delete("test:ever")


def test_minio_refuses_every_signature_of_another_hour(env: Environment) -> None:
    """Clients' signatures carry their own time; afterwards they are good again."""
    client, bucket = env.minio.client(), env.minio.bucket
    with env.chaos.clock_skew("minio", offset="+1h"):
        for one in (client, env.minio.client()):
            with pytest.raises(S3Error) as refused:
                one.put_object(bucket, "during", io.BytesIO(b"x"), 1)
            assert refused.value.code == "RequestTimeTooSkewed"
    client.put_object(bucket, "after", io.BytesIO(b"x"), 1)
    client.remove_object(bucket, "after")


def test_kafka_stamps_records_with_its_own_time(env: Environment) -> None:
    """A topic with LogAppendTime has the broker's."""
    from kafka.admin import NewTopic

    admin = env.kafka.admin()
    admin.create_topics([NewTopic("stamped", 1, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})])
    admin.close()
    producer = env.kafka.producer()

    def stamp() -> dt.datetime:
        return dt.datetime.fromtimestamp(producer.send("stamped", b"x").get(60).timestamp / 1000, dt.UTC)

    assert abs(stamp() - _real()) < MINUTE
    with env.chaos.clock_skew("kafka", offset="+1d"):
        assert abs(stamp() - DAY - _real()) < MINUTE
    assert abs(stamp() - _real()) < MINUTE
    producer.close()


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    """The warden heals it."""
    with injected("env.chaos.clock_skew('postgres', offset='+1d', duration='1h').__enter__()") as other:
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert env.chaos.history()[-1]["event"] == "fault.healed"
    with env.postgres.connect(autocommit=True) as new:
        assert abs(_now(new) - _real()) < MINUTE


def test_it_is_healed_though_its_tool_was_killed(env: Environment, engine: docker.DockerClient) -> None:
    """What was written stays, and is restored from the kernel's own page."""
    skew = env.chaos.clock_skew("redis", offset="+1d", duration="1h")
    surgeon = engine.containers.get(f"envctl-{env.name}-surgeon")
    ledger = env.chaos._ward.journal.entries()[0].plan["ledger"]
    find = (
        f"for p in /proc/[0-9]*; do grep -qsa '^envctl-clock.{ledger}' $p/cmdline && kill -9 ${{p#/proc/}}; done; true"
    )
    assert surgeon.exec_run(["bash", "-c", find]).exit_code == 0
    assert abs(dt.datetime.fromtimestamp(env.redis.client().time()[0], dt.UTC) - DAY - _real()) < MINUTE
    assert skew.heal().stage == "healed"
    assert abs(dt.datetime.fromtimestamp(env.redis.client().time()[0], dt.UTC) - _real()) < MINUTE


def test_a_restart_meanwhile_makes_it_lost(env: Environment, engine: docker.DockerClient) -> None:
    """New processes have the right time."""
    skew = env.chaos.clock_skew("redis", offset="+1d")
    engine.containers.get(f"envctl-{env.name}-redis-1").restart(timeout=5)
    assert skew.heal().stage == "lost"
    env.wait_recovered("redis", timeout=120)
    assert abs(dt.datetime.fromtimestamp(env.redis.client().time()[0], dt.UTC) - _real()) < MINUTE


def test_it_and_a_disk_fault_exclude_each_other(env: Environment) -> None:
    """Both hold the threads."""
    with env.chaos.slow_disk("redis") as slow, pytest.raises(FaultConflict, match=slow.id):
        env.chaos.clock_skew("redis")


def test_what_cannot_be_is_told_and_changes_nothing(env: Environment) -> None:
    """A shift that nobody could tell from none; a word that is none."""
    for offset in ("1s", "-2s", "11y", "soon", "", float("nan")):
        with pytest.raises(ConfigurationError) as refused:
            env.chaos.clock_skew("redis", offset=offset)
        assert refused.value.exit_code == 2
    assert env.chaos.status() == []


def test_a_service_that_tells_no_time_says_so() -> None:
    """Nothing could be proven there."""
    assert "does not say what time" in ClockSkew.unfit(REGISTERED["spark-connect"])


def _now(session: psycopg.Connection[tuple[object, ...]]) -> dt.datetime:
    row = session.execute("SELECT now()").fetchone()
    assert row
    assert isinstance(row[0], dt.datetime)
    return row[0]


def _real() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _assert(condition: bool) -> None:
    assert condition


def test_redis_syncs_its_file_again_though_it_had_noted_a_sync_an_hour_ahead(env: Environment) -> None:
    """`everysec` counts from the last sync, by the wall clock; the note is made anew, the setting left as it was."""
    client = env.redis.client(socket_timeout=60)
    with env.chaos.clock_skew("redis", offset="+1h"):
        client.set("while", "skewed")
        client.execute_command("WAITAOF", 1, 0, 5000)
    client.set("after", "healed")
    assert client.execute_command("WAITAOF", 1, 0, 30_000) == [1, 0]
    assert b"everysec" in _as_admin(env, "CONFIG", "GET", "appendfsync")


def _as_admin(env: Environment, *command: str) -> bytes:
    from envctl.services.redis.chaos.conversation import Conversation
    from envctl.services.wire import admin_of

    with Conversation(env.redis.endpoint, admin_of(env.redis.endpoint), 30) as redis:
        return b" ".join(redis.ask(*command))

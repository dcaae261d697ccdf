"""A disk that is full, read-only or slow: real clients get the servers' own errors, reads go on, and all is healed."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis
from minio import MinioAdmin
from minio.credentials import StaticProvider
from minio.error import S3Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from envctl.environment import Environment

SERVICES = ["postgres", "redis", "minio"]
FOUR_MEGABYTES = "INSERT INTO rows SELECT repeat('x', 2000) FROM generate_series(1, 2000)"
ONE_IN_PLACE = "UPDATE counter SET value = value + 1"


@pytest.fixture
def database(env: Environment) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A live session, a table of 100 rows, and a counter."""
    with env.postgres.connect(autocommit=True) as live:
        live.execute("CREATE TABLE rows AS SELECT repeat('x', 2000) AS text FROM generate_series(1, 100)")
        live.execute("CREATE TABLE counter AS SELECT 0 AS value")
        yield live
    env.chaos.heal()
    with env.postgres.connect(autocommit=True) as after:
        after.execute("DROP TABLE rows, counter")


@pytest.fixture
def keys(env: Environment) -> Iterator[redis.Redis]:
    """A live client, and a key."""
    live = env.redis.client(retry=None)
    live.set("test:before", "1")
    yield live
    env.chaos.heal()
    live.delete("test:before", "test:new")
    live.close()


def test_a_full_disk_lets_postgresql_read_and_change_in_place_but_not_grow(
    env: Environment, database: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Live and new sessions get 53100; nothing of what failed is there afterwards, and the same work goes through."""
    with env.chaos.disk_full("postgres") as full, env.postgres.connect(autocommit=True) as new:
        for client in (database, new):
            with pytest.raises(psycopg.errors.DiskFull, match="No space left on device"):
                client.execute(FOUR_MEGABYTES)
            assert client.execute("SELECT count(*) FROM rows").fetchone() == (100,)
            client.execute(ONE_IN_PLACE)
    assert full.healed
    assert full.healed.evidence["traced"] == 0
    assert not full.healed.evidence["restarted"]
    assert database.execute("SELECT value FROM counter").fetchone() == (2,)
    database.execute(FOUR_MEGABYTES)
    assert database.execute("SELECT count(*) FROM rows").fetchone() == (2100,)


def test_a_full_disk_makes_redis_refuse_writes_and_nothing_else(env: Environment, keys: redis.Redis) -> None:
    """MISCONF, in Redis' own words; the append-only file works again afterwards."""
    with env.chaos.disk_full("redis"):
        for client in (keys, env.redis.client(retry=None)):
            with pytest.raises(redis.ResponseError, match=r"MISCONF.*No space left on device"):
                client.set("test:new", "1")
            assert client.get("test:before") == b"1"
    assert keys.get("test:new") is None
    keys.set("test:new", "1")
    assert keys.info("persistence")["aof_last_write_status"] == "ok"


def test_a_full_disk_makes_minio_say_that_its_storage_is_full(env: Environment) -> None:
    """507 for writes; what was stored before can be read, and nothing of what failed is listed."""
    client = env.minio.client()
    bucket = env.minio.bucket
    client.put_object(bucket, "before", io.BytesIO(b"stored"), 6)
    try:
        with env.chaos.disk_full("minio"):
            for one in (client, env.minio.client()):
                with pytest.raises(S3Error) as refused:
                    one.put_object(bucket, "during", io.BytesIO(b"refused"), 7)
                assert refused.value.code == "XMinioStorageFull"
                assert one.get_object(bucket, "before").data == b"stored"
        assert [found.object_name for found in client.list_objects(bucket)] == ["before"]
        client.put_object(bucket, "during", io.BytesIO(b"stored"), 6)
    finally:
        for name in ("before", "during"):
            client.remove_object(bucket, name)


def test_a_postgresql_that_its_disk_killed_is_started_again_with_all_that_it_acknowledged(
    env: Environment, database: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Its log cannot be written: it PANICs, and cannot recover on that disk."""
    database.execute(ONE_IN_PLACE)
    full = env.chaos.disk_full("postgres", refuse="writes")
    with pytest.raises(psycopg.OperationalError):
        database.execute(ONE_IN_PLACE)
    healed = full.heal()
    assert healed.stage == "healed"
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect(autocommit=True) as new:
        assert new.execute("SELECT value FROM counter").fetchone() == (1,)
        new.execute(ONE_IN_PLACE)


def test_a_read_only_disk_refuses_postgresql_every_file(
    env: Environment, database: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Who has its files open reads on; new ones cannot be opened, because PostgreSQL opens them for writing."""
    assert database.execute("SELECT count(*) FROM rows").fetchone() == (100,)
    with env.chaos.read_only_disk("postgres"):
        with pytest.raises(psycopg.errors.Error, match="Read-only file system"):
            database.execute("CREATE TABLE never (x int)")
        assert database.execute("SELECT count(*) FROM rows").fetchone() == (100,)
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect(autocommit=True) as new:
        new.execute(FOUR_MEGABYTES)


def test_a_read_only_disk_refuses_writes_of_redis_and_minio(env: Environment, keys: redis.Redis) -> None:
    """Reads go on."""
    client, bucket = env.minio.client(), env.minio.bucket
    with env.chaos.read_only_disk("redis"), env.chaos.read_only_disk("minio"):
        with pytest.raises(redis.ResponseError, match=r"MISCONF.*Read-only file system"):
            keys.set("test:new", "1")
        assert keys.get("test:before") == b"1"
        with pytest.raises(S3Error):
            client.put_object(bucket, "during", io.BytesIO(b"refused"), 7)
        assert client.bucket_exists(bucket)
    keys.set("test:new", "1")
    client.put_object(bucket, "after", io.BytesIO(b"stored"), 6)
    client.remove_object(bucket, "after")


def test_each_commit_waits_for_a_slow_disk(env: Environment, database: psycopg.Connection[tuple[object, ...]]) -> None:
    """Live and new sessions; a read does not wait."""
    slow = env.chaos.slow_disk("postgres", latency="400ms", operations="sync")
    with slow, env.postgres.connect(autocommit=True) as new:
        for client in (database, new):
            assert _seconds(lambda c=client: c.execute(ONE_IN_PLACE)) >= 0.4
    assert database.execute("SELECT value FROM counter").fetchone() == (2,)


def test_all_clients_of_redis_wait_for_a_slow_write(
    env: Environment, keys: redis.Redis, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """One thread serves everybody, and writes; not at each SET, because it lets a sync that is under way end first."""

    def waits(client: redis.Redis) -> None:
        assert _seconds(lambda: client.set("test:new", "1")) >= 0.3

    with env.chaos.slow_disk("redis", latency="300ms", duration="5m"):
        for client in (keys, env.redis.client(retry=None)):
            eventually(lambda c=client: waits(c))


def test_the_server_is_told_that_no_room_is_left(
    env: Environment, engine: docker.DockerClient, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """MinIO looks at its disk from time to time, and tells; nothing was filled."""

    def is_full(wanted: str) -> None:
        assert ("full" if _free(env) == 0 else "not full") == wanted

    with env.chaos.disk_full("minio", duration="5m"):
        eventually(lambda: is_full("full"))
        assert int(_df(engine, env)) > 0
    eventually(lambda: is_full("not full"))


def _seconds(act: Callable[[], object]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


def _free(env: Environment) -> int:
    """Bytes that MinIO believes to be free, as it tells an administrator."""
    at = env.minio.endpoint
    login = StaticProvider(at.admin.username, at.admin.password)
    told = json.loads(MinioAdmin(endpoint=at.address, credentials=login, secure=False).info())
    return int(told["servers"][0]["drives"][0].get("availspace", 0))


def _df(engine: docker.DockerClient, env: Environment) -> str:
    """Blocks that are free on the disk of MinIO's data, as a process sees that is not traced."""
    container = engine.containers.get(f"envctl-{env.name}-minio-1")
    return container.exec_run(["stat", "-f", "-c", "%a", "/data"]).output.decode()

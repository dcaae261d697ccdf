"""Seeding side by side with each service's own fast loader, on ready files of the same rows."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from compared import ENVCTL, ROOT, Row, paired, peak_memory, seconds

from envctl import attach
from envctl.catalog import SERVICES
from envctl.seeder.plan import Plan
from envctl.seeder.request import Request
from envctl.seeding.journal import Journal
from envctl.seeding.loading import Seedable
from envctl.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "envctl-bench-seed"
DATASETS = ROOT / "bench" / "datasets"
GENERATED = 1_000_000
"""Rows a second per core that the generator is wanted to make."""


def envctl(*words: str) -> list[str]:
    """An envctl command on the bench's environment."""
    return [str(ENVCTL), "--env", NAME, "-q", *words]


def faster(what: str, ours: float, theirs: float, target: str) -> Row:
    """A row whose ratio says how many times as fast as the other we are."""
    return Row(what, ours, theirs, "s", target, theirs / ours)


@contextmanager
def running(*services: str) -> Iterator[None]:
    """The bench's environment with these services, and none afterwards."""
    seconds(envctl("up", *(word for name in services for word in ("--service", name))))
    try:
        yield
    finally:
        seconds(envctl("down"))


def inside(service: str, script: str) -> str:
    """Run a shell script in a service's container; its output."""
    container = f"envctl-{NAME}-{service}-1"
    done = subprocess.run(
        ["docker", "exec", container, "bash", "-ec", script], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"in {service}: {script}\n{done.stdout}{done.stderr}")
    return done.stdout


def seeded(dataset: str, service: str, *options: str) -> float:
    """Seconds of `envctl seed`, the whole process; what it loaded is removed again, off the clock."""
    took = seconds(envctl("seed", dataset, "--service", service, *options))
    unload(service)
    return took


def told(dataset: str, service: str) -> tuple[float, float]:
    """Seconds of `envctl seed`, the whole process, and of loading and reading back alone, as its report has them."""
    started = time.perf_counter()
    command = [str(ENVCTL), "--env", NAME, "--json", "seed", dataset, "--service", service]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took = time.perf_counter() - started
    unload(service)
    return took, json.loads(done.stdout.splitlines()[-1])["services"][service]["seconds"]


def poured(dataset: str) -> float:
    """Seconds of generating and loading into Redis alone, without the reading back that `seed` adds to it."""
    journal, at = Journal(StateFolder(NAME)), attach(NAME).redis.endpoint
    plan = Plan.of(Request(dataset), threading.Event())
    loader = SERVICES["redis"].loader(at, plan.job("redis", journal)[0])
    started = time.perf_counter()
    loader.load()
    took = time.perf_counter() - started
    SERVICES["redis"].clear(at, loader.footprint())
    journal.forget("redis")
    return took


def unload(service: str) -> None:
    """Remove what was loaded into one service."""
    env, journal, known = attach(NAME), Journal(StateFolder(NAME)), SERVICES[service]
    assert isinstance(known, Seedable)
    known.clear(getattr(env, service.removesuffix("-connect")).endpoint, journal.page(service)["footprint"])
    journal.forget(service)


def postgres(runs: int) -> list[Row]:
    r"""Generate and load against `psql \copy` of the same rows from ready CSV files, into the same schema."""
    dataset, psql = str(DATASETS / "rows.yaml"), "psql -q -U envctl -v ON_ERROR_STOP=1"
    schema = (DATASETS / "schema.sql").read_text()

    def theirs() -> float:
        inside("postgres", f"{psql} -d postgres -c 'DROP DATABASE IF EXISTS peer' -c 'CREATE DATABASE peer'")
        copies = " ".join(f"-c \"\\copy {table} FROM '/tmp/{table}.csv' CSV\"" for table in ("orders", "order_items"))
        script = f"{psql} -d peer <<'END'\n{schema}\nEND\n{psql} -d peer {copies} -c ANALYZE"
        return timed("postgres", script)

    with running("postgres"):
        seconds(envctl("seed", dataset))
        for table in ("orders", "order_items"):
            inside("postgres", f"{psql} -d app -c \"\\copy {table} TO '/tmp/{table}.csv' CSV\"")
        unload("postgres")
        ours, peer = paired(lambda: seeded(dataset, "postgres"), theirs, runs)
        memory = peak_memory(envctl("seed", dataset))
    return [
        faster("PostgreSQL: generate and load / `psql \\copy` of ready CSV", ours, peer, "≥ 1.50"),
        Row("envctl's peak memory, seeding two million rows", memory, 256, "MB", "≤ 1"),
    ]


def kafka(runs: int) -> list[Row]:
    """Generate and load against Kafka's own ProducerPerformance, as many records of the same size.

    Its own figure leaves the start of its JVM out; so it stands beside our report's, which leaves ours out, and has the
    making of the topic and the reading back in it.
    """
    dataset = str(DATASETS / "messages.yaml")
    perf = (
        "kafka-producer-perf-test --topic peer --num-records 2000000 --record-size 200 --throughput -1 "
        "--producer-props bootstrap.servers=kafka:29092 acks=all batch.size=1000000 linger.ms=50 "
        "buffer.memory=134217728"
    )
    topics = "kafka-topics --bootstrap-server kafka:29092"

    def theirs() -> float:
        inside("kafka", f"{topics} --create --topic peer --partitions 6")
        output = inside("kafka", perf)
        inside("kafka", f"{topics} --delete --topic peer")
        return 2_000_000 / float(re.findall(r"([\d.]+) records/sec", output)[-1])

    whole = []

    def ours() -> float:
        process, loading = told(dataset, "kafka")
        whole.append(process)
        return loading

    with running("kafka"):
        loading, peer = paired(ours, theirs, runs)
        memory = peak_memory(envctl("seed", dataset))
    return [
        faster("Kafka: generate and load / ProducerPerformance", loading, peer, "≥ 1.00"),
        faster("… the whole `seed`, process included / the same", median(whole[1:]), peer, "-"),
        Row("envctl's peak memory, seeding two million messages", memory, 256, "MB", "≤ 1"),
    ]


def minio(runs: int) -> list[Row]:
    """`medium` (100 files of 10 MB) against `mc cp` of the ready files."""
    mc = "MC_HOST_peer=http://admin:$(cat /run/secrets/minio_admin)@127.0.0.1:9000 mc --quiet"

    def theirs() -> float:
        inside("minio", f"{mc} rb --force --dangerous peer/copies >/dev/null 2>&1 || true; {mc} mb peer/copies")
        return timed("minio", f"{mc} cp --recursive /tmp/files/ peer/copies/ >/dev/null")

    with running("minio"):
        seconds(envctl("seed", "medium", "--service", "minio"))
        inside("minio", f"mkdir /tmp/files; {mc} cp --recursive peer/app/ /tmp/files/ >/dev/null")
        unload("minio")
        ours, peer = paired(lambda: seeded("medium", "minio"), theirs, runs)
        memory = peak_memory(envctl("seed", "medium", "--service", "minio"))
    return [
        faster("MinIO: generate and load `medium` / `mc cp` of ready files", ours, peer, "≥ 0.90"),
        Row("envctl's peak memory, seeding `medium` into MinIO", memory, 256, "MB", "≤ 1"),
    ]


def redis(runs: int) -> list[Row]:
    """A million keys against `redis-cli --pipe` of a ready file."""
    dataset = str(DATASETS / "keys.yaml")
    cli = "REDISCLI_AUTH=$(cat /run/secrets/redis_admin) redis-cli --user envctl"
    write = (
        "awk 'BEGIN { for (i = 0; i < 1000000; i++) "
        'printf "*3\\r\\n$3\\r\\nSET\\r\\n$14\\r\\nentry:%08d\\r\\n$32\\r\\n%032d\\r\\n", i, i }\' > /tmp/peer.resp'
    )

    def theirs() -> float:
        took = timed("redis", f"{cli} --pipe < /tmp/peer.resp >/dev/null")
        inside("redis", f"{cli} flushall >/dev/null")
        return took

    with running("redis"):
        inside("redis", write)
        ours, peer = paired(lambda: poured(dataset), theirs, runs)
        proven = median(seeded(dataset, "redis") for _ in range(runs))
        memory = peak_memory(envctl("seed", dataset))
    return [
        faster("Redis: generate and load / `redis-cli --pipe` of a ready file", ours, peer, "≥ 0.90"),
        faster("… the whole `seed` / the same", proven, peer, "-"),
        Row("envctl's peak memory, seeding a million keys", memory, 256, "MB", "≤ 1"),
    ]


def small(runs: int) -> list[Row]:
    """The whole `small` into all services that are ready, and a second time, when there is nothing to do."""
    first, second = [], []
    seconds(envctl("up", "--profile", "full"))
    try:
        for _ in range(runs):
            first.append(seconds(envctl("seed", "small")))
            second.append(seconds(envctl("seed", "small")))
            for service in SERVICES:
                if Journal(StateFolder(NAME)).page(service):
                    unload(service)
        memory = peak_memory(envctl("seed", "small"))
    finally:
        seconds(envctl("down"))
    return [
        Row("the whole `small` after ready / 2 s", median(first), 2, "s", "≤ 1"),
        Row("a second `seed small` / the first", median(second), median(first), "s", "-"),
        Row("envctl's peak memory, seeding `small`", memory, 256, "MB", "≤ 1"),
    ]


def generator(runs: int) -> list[Row]:
    """The shop's tables generated and thrown away, on one core."""
    from envctl.seeding.spec import load
    from envctl.seeding.world import World

    def rate() -> float:
        world, rows, started = World(load("medium")), 0, time.process_time()
        for name in ("customers", "products", "orders", "order_items", "payments"):
            for chunk in world.iterate(name):
                rows += len(chunk)
                for column in world.relations[name].columns:
                    chunk.column(column)
        return rows / (time.process_time() - started)

    return [
        Row(
            "the generator, shop tables / a million rows/s", median(rate() for _ in range(runs)), GENERATED, "/s", "≥ 1"
        )
    ]


def timed(service: str, script: str) -> float:
    """Seconds of a script in a container, by the container's own clock: what `docker exec` costs is not its."""
    output = inside(
        service, f"start=$(date +%s%N)\n{script}\nend=$(date +%s%N)\necho ms $(( (end - start) / 1000000 ))"
    )
    return int(output.rsplit("ms ", 1)[1]) / 1000


MEASURES = {
    "generator": generator,
    "small": small,
    "seed-postgres": postgres,
    "seed-kafka": kafka,
    "seed-minio": minio,
    "seed-redis": redis,
}

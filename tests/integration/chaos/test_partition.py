"""Parting a service from others: nothing comes through, nobody is told, and live connections go on afterwards."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
import redis

from envctl.errors import ConfigurationError
from tests.integration.chaos import wires
from tests.integration.chaos.wires import come

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import docker

    from envctl.environment import Environment

SERVICES = ["kafka", "redis"]
"""And with Kafka its ZooKeeper."""


def knows_the_broker(env: Environment) -> bool:
    """Whether ZooKeeper has a session of Kafka's, as it says itself."""
    host, _, port = env.zookeeper.url.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as asked:
        asked.sendall(b"dump")
        said = b"".join(iter(lambda: asked.recv(65536), b""))
    assert b"Session Sets" in said
    return b"/brokers/ids/1" in said


def test_kafka_loses_its_session_and_is_a_broker_again_afterwards(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """Parted from ZooKeeper alone: from this machine both are reached, a live producer among them."""
    producer = env.kafka.producer(acks=1)
    producer.send("partitioned", b"before").get(60)
    with env.chaos.partition("kafka", peer="zookeeper", duration="5m"):
        eventually(lambda: equal(knows_the_broker(env), wanted=False))
        producer.send("partitioned", b"meanwhile").get(60)
        assert come(env, ("kafka", "zookeeper"), ("zookeeper", "kafka")) == [0, 0]
        assert come(env, ("kafka", "redis"), ("host", "kafka"), ("kafka", "host")) == [3, 3, 3]
    eventually(lambda: equal(knows_the_broker(env), wanted=True))
    producer.send("partitioned", b"afterwards").get(60)
    producer.close()
    env.wait_recovered("kafka", 120)


@pytest.mark.parametrize(("direction", "hears", "is_heard"), [("in", 0, 3), ("out", 3, 0), ("both", 0, 0)])
def test_it_hears_or_is_heard_or_neither(env: Environment, direction: str, hears: int, is_heard: int) -> None:
    """Measured from its peer; others notice nothing."""
    with env.chaos.partition("redis", peer="zookeeper", direction=direction):
        assert come(env, ("zookeeper", "redis"), ("redis", "zookeeper")) == [hears, is_heard]
        assert come(env, ("kafka", "redis"), ("host", "redis"), ("redis", "kafka")) == [3, 3, 3]
    assert come(env, ("zookeeper", "redis"), ("redis", "zookeeper")) == [3, 3]


def test_requests_are_carried_out_whose_answers_never_come(env: Environment) -> None:
    """It hears the host, and is not heard."""
    live = env.redis.client(socket_timeout=2, retry=None)
    live.set("one-way", 0)
    with env.chaos.partition("redis", peer="host", direction="out"):
        with pytest.raises(redis.TimeoutError):
            live.incr("one-way")
        inside = inside_redis(env, "GET", "one-way")
    assert inside == "1"


def test_from_the_host_live_clients_hang_and_new_ones_too_and_the_live_ones_go_on(env: Environment) -> None:
    """Docker's own proxy accepts a new connection, which then hangs; other containers notice nothing."""
    live = env.redis.client(socket_timeout=60, retry=None, single_connection_client=True)
    live.set("host", "before")
    answers = list[object]()
    thread = threading.Thread(target=lambda: answers.append(live.get("host")), daemon=True)
    with env.chaos.partition("redis", peer="host") as parted:
        thread.start()
        with pytest.raises(redis.TimeoutError):
            env.redis.client(socket_timeout=0.3, retry=None).ping()
        address = wires.site(env, "redis").at
        with socket.create_connection((address.host, address.port), 30) as accepted:
            accepted.settimeout(0.3)
            accepted.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                accepted.recv(1)
        assert come(env, ("zookeeper", "redis"), ("redis", "zookeeper")) == [3, 3]
        assert not answers
    assert parted.evidence["backend"] == "nft"
    thread.join(60)
    assert answers == [b"before"]


def test_one_port_alone_is_parted(env: Environment) -> None:
    """On either side of the packets."""
    live = env.redis.client(socket_timeout=10, retry=None)
    with env.chaos.partition("redis", port="7000,7001"):
        assert live.ping()
        assert not wires.packets(env, "kafka", "redis", port=7001, wait=0.05)["received"]
        assert not wires.packets(env, "redis", "kafka", port=7000, side="from", wait=0.05)["received"]
        assert wires.packets(env, "kafka", "redis", port=7002)["received"] == 3


def test_two_at_once_with_different_peers_end_each_by_itself(env: Environment) -> None:
    """Each has a table of its own."""
    toward = [(peer, "redis") for peer in ("zookeeper", "kafka", "host")]
    with env.chaos.partition("redis", peer="zookeeper"):
        with env.chaos.partition("redis", peer="kafka,host"):
            assert come(env, *toward) == [0, 0, 0]
        assert come(env, *toward) == [0, 3, 3]
    assert come(env, *toward) == [3, 3, 3]


def test_afterwards_no_rule_is_left_and_meanwhile_a_foreign_one_stays(env: Environment) -> None:
    """Tables of others are not its own, whatever they are called."""
    env.chaos.partition("redis", peer="kafka").heal()  # the surgeon is there
    untouched = wires.portrait(env, "redis")
    foreign = "table inet envctl { chain mine { type filter hook input priority 0; tcp dport 1 drop; }; }"
    wires.inside(env, "redis", "nft", foreign)
    try:
        before = wires.portrait(env, "redis")
        with env.chaos.partition("redis", peer="kafka"):
            assert wires.portrait(env, "redis") != before
        assert wires.portrait(env, "redis") == before
    finally:
        wires.inside(env, "redis", "nft", "delete table inet envctl")
    assert wires.portrait(env, "redis") == untouched


def test_the_kernel_forgets_it_where_nobody_heals(env: Environment, eventually: Callable[..., None]) -> None:
    """Its time is over, and injector, warden and tools container are gone: packets pass again."""
    at = wires.site(env, "redis")
    peers = wires.addresses(at.hands.inspect(wires.site(env, "kafka").container.id)).v4
    wire = {"token": "5eed5678", "pid": at.hands.pid(at.container.id), "seconds": 2, "directions": ["in"], "ports": []}
    wire |= {"v4": peers, "v6": [], "how": {"verdict": "drop"}}
    told = {"backend": "nft", "wire": wire, "probes": []}
    at.hands.operation(env.name, "network.begin", **told)
    try:
        begin = time.monotonic()
        blocked = come(env, ("kafka", "redis")) == [0]
        assert blocked or time.monotonic() - begin > 1, "it was never in force"
        eventually(lambda: equal(come(env, ("kafka", "redis")), [3]))
        done = at.hands.operation(env.name, "network.end", **told)
        assert (done["begun"], done["lasted"], done["left"]) == (True, False, [])
    finally:
        at.hands.operation(env.name, "network.end", **told)


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The warden sees that its holder is dead."""
    with injected("env.chaos.partition('redis', peer='kafka', duration='1h').__enter__()") as other:
        assert come(env, ("kafka", "redis")) == [0]
        other.kill()
        eventually(lambda: equal(env.chaos.status(), []))
    assert env.chaos.history()[-1]["event"] == "fault.healed"
    assert come(env, ("kafka", "redis")) == [3]


def test_a_restart_ends_it_and_that_is_told_soon(
    env: Environment, engine: docker.DockerClient, eventually: Callable[..., None]
) -> None:
    """Not only when its time is over: the new network namespace knows nothing of it."""
    parted = env.chaos.partition("redis", peer="kafka", duration="1h")
    engine.api.restart(f"envctl-{env.name}-redis-1", timeout=1)
    eventually(lambda: equal(env.chaos.status(), []))
    told = [line["event"] for line in env.chaos.history() if line.get("id") == parted.id]
    assert told[-1] == "fault.lost"
    env.wait_recovered("redis")
    assert come(env, ("kafka", "redis")) == [3]


def test_a_peer_that_is_none_is_told_with_those_that_are(env: Environment) -> None:
    """Before anything is touched; and so is the service itself, and a port that is none."""
    for wrong in ("zookeper", "redis,postgres"):
        with pytest.raises(ConfigurationError, match="--peer: wanted one of host, redis, zookeeper"):
            env.chaos.partition("kafka", peer=wrong)
    with pytest.raises(ConfigurationError) as refused:
        env.chaos.partition("kafka", peer="kafka", port="http", backend="iptables")
    told = "\n".join(problem.message for problem in refused.value.problems)
    assert all(f"--{option}: wanted" in told for option in ("backend", "peer", "port")), told
    assert env.chaos.status() == []


def inside_redis(env: Environment, *command: str) -> str:
    """What Redis says to a client in its own container."""
    at = wires.site(env, "redis")
    assert at.at.app
    login = {"REDISCLI_AUTH": at.at.app.password}
    done = at.hands.execute(at.container.id, ["redis-cli", "--user", at.at.app.username, *command], environment=login)
    return done.output.strip()


def equal(found: object, wanted: object) -> None:
    """With both in the message."""
    assert found == wanted

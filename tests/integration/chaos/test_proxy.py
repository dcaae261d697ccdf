"""An environment made with a relay: up, status and down as without; and faults of the network that need no right of the
engine, as real clients of Redis and Kafka see them.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

import envctl
from envctl.engine import hands as fingers
from envctl.engine.sidecars import Sidecar
from envctl.errors import FaultUnfit
from tests.integration.chaos import kafka_clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from subprocess import Popen

    import docker

    from envctl.environment import Environment

SERVICES = ["redis", "kafka"]
BODY = b"\x5a" * 500_000


def up(name: str, services: list[str] = SERVICES, *, relay: bool = True) -> Environment:
    """The environment, of these services."""
    return envctl.up(name=name, services=services, ports="auto", relay=relay)


@pytest.fixture(scope="module")
def env(engine: docker.DockerClient, state: Path) -> Iterator[Environment]:
    """One with a relay."""
    del state
    with up(f"relay-{secrets.token_hex(4)}") as one:
        name = one.name
        yield one
    assert not engine.containers.list(all=True, filters={"name": f"envctl-{name}"})


@pytest.fixture
def live(env: Environment) -> Iterator[redis.Redis]:
    """A client that is connected and does not connect again in silence."""
    with closing(env.redis.client(retry=None, socket_timeout=2)) as client:
        client.ping()
        yield client


def relay_of(engine: docker.DockerClient, env: Environment) -> Any:  # noqa: ANN401 - the SDK has no types
    """Its container."""
    return engine.containers.get(f"envctl-{env.name}-relay")


def seconds(act: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


def times(act: Callable[[], object]) -> list[float]:
    """How long it takes, five times: the least of them is what it needs where the machine is busy."""
    return sorted(seconds(act) for _ in range(5))


def new_client(env: Environment, patience: float = 30.0) -> str:
    """The name of the error that a new client gets; empty without one."""
    with env.redis.client(retry=None, socket_timeout=patience) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            return type(error).__name__
    return ""


def test_the_relay_alone_publishes_ports_and_has_no_right(engine: docker.DockerClient, env: Environment) -> None:
    """The services are told at its ports."""
    relay, status = relay_of(engine, env).attrs, env.status()
    published = {int(host[0]["HostPort"]) for host in relay["HostConfig"]["PortBindings"].values()}
    assert published == {port for one in status.services.values() for port in one.ports.values()}
    assert {host[0]["HostIp"] for host in relay["HostConfig"]["PortBindings"].values()} == {"127.0.0.1"}
    for service in status.services:
        assert not engine.containers.get(f"envctl-{env.name}-{service}-1").attrs["HostConfig"]["PortBindings"]
    assert (relay["HostConfig"]["CapDrop"], relay["HostConfig"]["CapAdd"]) == (["ALL"], None)
    assert relay["Config"]["User"] == "65534:65534"
    assert "relay" not in status.services


def test_up_again_leaves_all_as_it_is_and_makes_a_relay_that_is_gone(
    engine: docker.DockerClient, env: Environment
) -> None:
    """At the same ports, for all services, also when it is asked for a part of them."""
    before, relay = env.status(), relay_of(engine, env)
    assert up(env.name).report().attached
    assert relay_of(engine, env).id == relay.id
    relay.remove(force=True)
    assert new_client(env) == "ConnectionError"
    assert not up(env.name).report().attached
    assert env.status().services["kafka"].ports == before.services["kafka"].ports
    relay_of(engine, env).kill()
    again = up(env.name, ["redis"])
    assert again.status().services.keys() == before.services.keys()
    assert again.status().state == "ready"
    assert env.wait().keys() == before.services.keys()


def test_a_part_made_without_the_relay_publishes_itself_and_cannot_be_hurt_by_it(env: Environment) -> None:
    """And goes behind it again; the others stay behind it meanwhile, at the same ports."""
    port = env.redis.endpoint.port
    up(env.name, ["redis"], relay=False)
    assert env.redis.endpoint.port == port
    assert env.wait().keys() == env.status().services.keys()
    with pytest.raises(FaultUnfit, match="made without --relay"):
        env.chaos.latency("redis", backend="proxy")
    up(env.name)
    assert env.redis.endpoint.port == port
    env.chaos.latency("redis", backend="proxy").heal()


def test_what_it_sends_comes_later_and_each_way_can_be_meant(env: Environment, live: redis.Redis) -> None:
    """A round trip takes the delay longer; with both ways twice that."""
    with env.chaos.latency("redis", delay="100ms", backend="proxy") as fault:
        assert fault.evidence["backend"] == "proxy"
        assert 0.1 <= times(live.ping)[0] < 0.2
    with env.chaos.latency("redis", delay="100ms", direction="both", backend="proxy"):
        assert 0.2 <= times(live.ping)[0] < 0.4
    with env.chaos.latency("redis", delay="100ms", port="6379", peer="host", backend="proxy"):
        assert seconds(live.ping) >= 0.1
    assert times(live.ping)[0] < 0.1


def test_a_kafka_client_is_slowed_at_the_advertised_address(env: Environment) -> None:
    """Whatever broker the metadata name; and without its fault at once."""
    topic = kafka_clients.make(env)
    with kafka_clients.producer(env) as producer:
        producer.send(topic, b"first").get(30)
        with env.chaos.latency("kafka", delay="300ms", backend="proxy"):
            assert seconds(lambda: producer.send(topic, b"late").get(30)) >= 0.3
        assert times(lambda: producer.send(topic, b"soon").get(30))[0] < 0.3
    kafka_clients.drop(env, topic)


def test_little_passes_each_way(env: Environment, eventually: Callable[..., None]) -> None:
    """Half a megabyte at 4 Mbit/s takes a second, and no less each time; all clients share it."""
    took: list[float] = []

    def within(most: float, act: Callable[[], object]) -> None:
        took.append(seconds(act) * 3 / most)
        assert took[-1] < 3

    def both() -> None:
        two = [threading.Thread(target=lambda: env.redis.client().get("body"), daemon=True) for _ in range(2)]
        for one in two:
            one.start()
        for one in two:
            one.join(60)

    with closing(env.redis.client()) as client, env.chaos.throttle("redis", rate="4mbit", backend="proxy"):
        eventually(lambda: within(3, lambda: client.set("body", BODY)))
        eventually(lambda: within(3, lambda: client.get("body")))
        eventually(lambda: within(6, both))
    assert min(took) >= 0.8
    with closing(env.redis.client()) as client:
        assert client.get("body") == BODY
        client.delete("body")


def test_live_connections_are_cut_once(env: Environment, live: redis.Redis, eventually: Callable[..., None]) -> None:
    """And new ones accepted."""
    number = live.client_id()
    env.chaos.cut("redis", backend="proxy").heal()
    eventually(lambda: _another(live, number))
    with closing(env.redis.client(retry=None)) as client, client.pubsub() as waiting:
        waiting.subscribe("news")
        waiting.parse_response()
        env.chaos.cut("redis", backend="proxy").heal()
        with pytest.raises(redis.ConnectionError):
            waiting.connection.read_response()


def test_new_connections_are_refused_and_live_ones_go_on(env: Environment, live: redis.Redis) -> None:
    """As Docker's own proxy tells it to programs on the host."""
    with env.chaos.refuse("redis", backend="proxy"):
        assert new_client(env) == "ConnectionError"
        assert live.ping()
    assert new_client(env) == ""


def test_in_a_black_hole_clients_wait_and_go_on_afterwards(env: Environment, live: redis.Redis) -> None:
    """Live ones and new ones, or new ones alone."""
    with env.redis.client(retry=None, socket_timeout=60) as patient:
        patient.ping()
        answers: list[object] = []
        waiting = threading.Thread(target=lambda: answers.append(patient.ping()), daemon=True)
        with env.chaos.black_hole("redis", backend="proxy"):
            waiting.start()
            assert new_client(env, 0.5) == "TimeoutError"
            with pytest.raises(redis.TimeoutError):
                live.ping()
            assert answers == []
        waiting.join(60)
        assert answers == [True]
        with env.chaos.black_hole("redis", connections="new", backend="proxy"):
            assert new_client(env, 0.5) == "TimeoutError"
            assert patient.ping()
    assert new_client(env) == ""


def test_two_faults_combine_and_end_each_for_itself(env: Environment, live: redis.Redis) -> None:
    """Their delays add up."""
    with env.chaos.latency("redis", delay="100ms", backend="proxy"):
        with env.chaos.latency("redis", delay="150ms", direction="in", backend="proxy"):
            assert seconds(live.ping) >= 0.25
        assert times(live.ping)[0] < 0.25


@pytest.mark.parametrize(
    ("fault", "parameters", "reason"),
    [
        ("latency", {"peer": "kafka"}, "not those of kafka"),
        ("throttle", {"port": "1234"}, "port 1234 does not come through"),
        ("refuse", {"direction": "out", "peer": "kafka"}, "that it opens itself"),
    ],
)
def test_what_does_not_come_by_published_ports_is_refused_with_the_reason(
    env: Environment, fault: str, parameters: dict[str, str], reason: str
) -> None:
    """Before anything is touched."""
    with pytest.raises(FaultUnfit, match=reason):
        env.chaos.call(fault, "redis", {"backend": "proxy", **parameters})


def test_where_the_engine_gives_no_rights_the_relay_is_taken(
    env: Environment, live: redis.Redis, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine itself refuses the surgeon; nothing of that is left."""
    name = f"envctl-{env.name}-surgeon"
    for there in engine.containers.list(all=True, filters={"name": name}):
        there.remove(force=True)
    impossible = Sidecar("surgeon", lambda: {"network_mode": "none", "cap_add": ["NO_SUCH_RIGHT"]})
    monkeypatch.setattr(fingers, "SURGEON", impossible)
    for fault in ("latency", "throttle", "cut", "refuse", "black-hole"):
        with env.chaos.call(fault, "redis", {}) as injection:
            assert injection.evidence["backend"] == "proxy"
    assert live.ping()
    with pytest.raises(FaultUnfit):
        env.chaos.loss("redis")
    assert not engine.containers.list(all=True, filters={"name": name})
    listed = {row.fault: row for row in env.chaos.list(["redis"])}
    assert listed["refuse"].possible
    assert listed["refuse"].by.startswith("proxy: ")


def test_a_service_that_restarts_stays_behind_its_fault(
    engine: docker.DockerClient, env: Environment, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """What the relay does outlives the service, and is healed, not lost."""
    fault = env.chaos.latency("redis", delay="100ms", backend="proxy")
    engine.containers.get(f"envctl-{env.name}-redis-1").restart(timeout=5)
    env.wait(["redis"])
    with closing(env.redis.client()) as client:
        client.ping()
        assert seconds(client.ping) >= 0.1
        assert fault.heal().stage == "healed"
        eventually(lambda: _sooner(client, 0.1))


def test_a_relay_that_is_started_anew_loses_its_faults_and_that_is_told(
    engine: docker.DockerClient, env: Environment, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """Within seconds, by the warden; the services are reached again."""
    env.chaos.latency("redis", delay="100ms", backend="proxy", duration="60s")
    relay_of(engine, env).restart(timeout=0)
    eventually(lambda: _none(env.chaos.status()))
    assert any("relay" in str(one) for one in env.chaos.history() if "lost" in str(one))
    eventually(lambda: _equal(new_client(env), ""))


def test_it_is_healed_when_its_injector_is_killed(
    env: Environment,
    live: redis.Redis,
    injected: Callable[[str], AbstractContextManager[Popen[str]]],
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    """By the warden, when its time is over."""
    with injected("env.chaos.latency('redis', delay='150ms', backend='proxy', duration='6s')") as process:
        assert seconds(live.ping) >= 0.15
        process.kill()
        process.wait()
        eventually(lambda: _none(env.chaos.status()))
        eventually(lambda: _sooner(live, 0.15))


def _another(live: redis.Redis, number: int) -> None:
    """redis-py looks at a connection before it uses it, and opens another in silence; or its end comes just then."""
    try:
        assert live.client_id() != number
    except redis.ConnectionError as error:
        raise AssertionError(str(error)) from error


def _sooner(client: redis.Redis, limit: float) -> None:
    assert seconds(client.ping) < limit


def _none(found: object) -> None:
    assert not found


def _equal(one: object, other: object) -> None:
    assert one == other

"""Some of a service's packets are lost, doubled, spoilt or overtaken: what real clients make of it, and afterwards."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from envctl.errors import ConfigurationError
from envctl.protocols import NotReady
from envctl.waiting import until
from tests.integration.chaos import wires

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import docker

    from envctl.environment import Environment

SERVICES = ["redis", "postgres"]
FAULTS = ("loss", "duplicate", "corrupt", "reorder")
RETRANSMISSION = 0.19
"""Seconds after which TCP sends a lost packet again at the earliest, when none comes behind it; less a little."""
BODY = bytes(range(256)) * 2000
"""Some 350 packets."""


def counted(env: Environment, name: str, file: str = "netstat") -> int:
    """A counter of redis' kernel for TCP."""
    lines = [line.split() for line in wires.inside(env, "redis", "cat", f"/proc/net/{file}").splitlines()]
    names, values = (line for line in lines if line[0] in {"Tcp:", "TcpExt:"})
    return int(values[names.index(name)])


def datagrams(env: Environment, **settings: Any) -> dict[str, Any]:  # noqa: ANN401
    """What became of 100 datagrams from the host to redis."""
    return wires.packets(env, "host", "redis", count=100, every=0.0005, **settings)


def untouched(env: Environment) -> None:
    """They come once, sound and in their order; where the sender changes its processor, order may need another try."""

    def look() -> None:
        told = datagrams(env)
        if (told["received"], told["twice"], told["late"], told["broken"]) != (100, 0, 0, 0):
            raise NotReady(str(told))

    until(look, 30, "100 packets as they were sent")


def test_requests_survive_losses_and_some_take_much_longer(env: Environment) -> None:
    """On a live connection and on a new one, both ways; all answers are right."""
    live = env.redis.client()
    live.set("test:lost", "1")
    with env.chaos.loss("redis", percent=10, seed=1):
        for client in (live, env.redis.client()):
            times = []
            for _ in range(60):
                begin = time.monotonic()
                assert client.get("test:lost") == b"1"
                times.append(time.monotonic() - begin)
            assert max(times) > RETRANSMISSION
            assert statistics.median(times) < RETRANSMISSION
    untouched(env)
    assert live.delete("test:lost") == 1


def test_losses_hit_one_peer_alone(env: Environment) -> None:
    """PostgreSQL's packets vanish, the host's do not."""
    with env.chaos.loss("redis", percent=50, peer="postgres", duration="5m"):
        untouched(env)
        assert 20 < wires.packets(env, "postgres", "redis", count=100, every=0.0005)["received"] < 80
        assert 20 < wires.packets(env, "redis", "postgres", count=100, every=0.0005)["received"] < 80
    assert wires.packets(env, "postgres", "redis", count=100, every=0.0005)["received"] == 100


def test_losses_hit_one_direction_and_one_port_alone(env: Environment) -> None:
    """The other way, and another port, are free."""
    with env.chaos.loss("redis", percent=50, direction="in", port="7000"):
        assert 20 < datagrams(env, port=7000)["received"] < 80
        assert datagrams(env, port=7001)["received"] == 100
        out = wires.packets(env, "redis", "host", count=100, every=0.0005, port=7000, side="from")
        assert out["received"] == 100


@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_seed_gives_the_program_the_same_chances(env: Environment, fault: str) -> None:
    """And another one others; that it then hits the same packets is tested of the program itself."""
    told = []
    for seed in (5, 5, 6):
        with env.chaos.call(fault, "redis", {"percent": 30, "peer": "postgres"}, seed=seed):
            told.append(env.chaos._ward.journal.entries()[0].plan["wire"]["how"]["packets"])
    assert told[0] == told[1] != told[2]


def test_what_comes_twice_is_carried_out_once(env: Environment) -> None:
    """Every packet is doubled, both ways: a stream has each byte once, datagrams come twice."""
    live = env.redis.client()
    live.delete("test:doubled")
    with env.chaos.duplicate("redis", percent=100):
        for client in (live, env.redis.client()):
            for _ in range(50):
                client.incr("test:doubled")
        assert datagrams(env, linger=True, wait=1.0)["twice"] == 100
        assert live.get("test:doubled") == b"100"
    untouched(env)
    live.delete("test:doubled")


def test_what_is_spoilt_is_found_dropped_and_sent_again(env: Environment) -> None:
    """By the kernel that gets it, which counts it; programs see nothing of it but the time."""
    live = env.redis.client()
    with env.chaos.corrupt("redis", percent=5, seed=1):
        before = counted(env, "InCsumErrors", "snmp")
        for client in (live, env.redis.client()):
            client.set("test:spoilt", BODY)
            assert client.get("test:spoilt") == BODY
        assert counted(env, "InCsumErrors", "snmp") > before
    untouched(env)
    live.delete("test:spoilt")


def test_what_is_spoilt_undetected_reaches_the_client(env: Environment) -> None:
    """In answers alone: what is stored is as it was, and no checksum tells."""
    live = env.redis.client()
    live.set("test:sound", BODY)
    with env.chaos.corrupt("redis", percent=20, undetected=True, direction="out", seed=1):
        wrong = 0
        for _ in range(3):
            try:
                wrong += env.redis.client(socket_timeout=5, retry=None).get("test:sound") != BODY
            except Exception:  # noqa: BLE001 - whatever a client makes of what nobody sent
                wrong += 1
    assert wrong > 0
    assert env.redis.client().get("test:sound") == BODY
    untouched(env)
    env.redis.client().delete("test:sound")


def test_streams_come_in_order_though_their_packets_do_not(
    env: Environment, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """The kernel that gets them counts what it had to put in order."""
    live = env.redis.client()
    with env.chaos.reorder("redis", percent=5, lag="30ms", seed=1):
        before = counted(env, "TCPOFOQueue")
        for client in (live, env.redis.client()):
            client.set("test:order", BODY)
            assert client.get("test:order") == BODY
        assert counted(env, "TCPOFOQueue") > before
        # Of a hundred none is chosen, once in 170 times.
        eventually(lambda: some(datagrams(env)["late"]))
    untouched(env)
    live.delete("test:order")


def test_losses_and_latency_go_together(env: Environment) -> None:
    """What is late may be lost, and what comes is late: each packet once."""
    with env.chaos.loss("redis", percent=30), env.chaos.latency("redis", delay="40ms", direction="in"):
        told = datagrams(env)
        assert 40 < told["received"] < 95
        assert told["ms"][0] >= 40
    with env.chaos.latency("redis", delay="40ms", direction="both"), env.chaos.duplicate("redis", percent=100):
        told = datagrams(env, linger=True, wait=1.0)
        assert (told["received"], told["twice"]) == (100, 100)
        assert told["ms"][0] >= 40
    untouched(env)


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_healed_though_who_injected_it_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[[Callable[[], object]], None],
    fault: str,
) -> None:
    """The warden does it."""
    with injected(f"env.chaos.{fault}('redis', percent=40, duration='1h').__enter__()") as other:
        other.kill()
        eventually(lambda: equal(env.chaos.status(), []))
    assert env.chaos.history()[-1]["event"] == "fault.healed"
    untouched(env)


def test_packets_pass_when_the_program_is_killed_and_that_is_told(
    env: Environment, engine: docker.DockerClient, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """It is not silently gone."""
    loss = env.chaos.loss("redis", percent=100, peer="postgres", duration="1h")
    surgeon = engine.containers.get(f"envctl-{env.name}-surgeon")
    token = env.chaos._ward.journal.entries()[0].plan["wire"]["token"]
    find = f"for p in /proc/[0-9]*; do grep -qsa '^envctl-packets.*{token}' $p/cmdline && kill -9 ${{p#/proc/}}; done"
    surgeon.exec_run(["bash", "-c", find])
    eventually(lambda: equal(wires.packets(env, "postgres", "redis")["received"], 3))
    assert loss.heal().stage == "lost"
    assert "ENVCTL" not in wires.inside(env, "redis", "iptables-save")


@pytest.mark.parametrize(
    ("fault", "parameters", "problems"),
    [
        (
            "loss",
            {"percent": 0, "correlation": 99},
            ["--percent: wanted 0.1 to 100", "--correlation: wanted at most 95"],
        ),
        ("loss", {"percent": "many"}, ["percent"]),
        ("loss", {"percent": 101}, ["percent"]),
        ("duplicate", {"percent": 0.01}, ["--percent: wanted 0.1 to 100"]),
        ("corrupt", {"undetected": "perhaps", "percent": 5}, ["undetected"]),
        ("corrupt", {"percent": 0, "peer": "redis"}, ["--percent", "--peer"]),
        ("reorder", {"percent": 60, "lag": "1ms"}, ["--percent: wanted at most 50", "--lag: wanted 5ms to 2s"]),
        ("reorder", {"lag": "3s", "backend": "tc"}, ["--lag", "--backend: wanted one of nfqueue, netem"]),
        ("corrupt", {"undetected": True, "backend": "netem"}, ["--undetected: wanted the back end nfqueue"]),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_all_at_once_and_changes_nothing(
    env: Environment, fault: str, parameters: dict[str, Any], problems: list[str]
) -> None:
    """Before anything is touched."""
    with pytest.raises(ConfigurationError) as refused:
        env.chaos.call(fault, "redis", parameters)
    assert refused.value.exit_code == 2
    for problem in problems:
        assert problem in str(refused.value)
    assert env.chaos.status() == []


def some(count: int) -> None:
    """At least one."""
    assert count > 0


def equal(found: object, wanted: object) -> None:
    """They are."""
    assert found == wanted

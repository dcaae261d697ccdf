"""Little bandwidth: real uploads and downloads take their time, only those that are meant; then all is as before."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from minio import Minio

from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from tests.integration.chaos import wires

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import docker

    from envctl.chaos.injection import Injection
    from envctl.environment import Environment

SERVICES = ["minio", "redis"]
RATE = 4_000_000
BODY = b"\x5a" * 500_000
"""A second of the rate."""
AT_ONCE = 0.15
"""The share by which a transfer may be faster: what passes at once, and what buffers took."""
FAST = RATE * 2.5
"""Bits a second that only a service without a throttle reaches, on the slowest machine."""

SIX = """
ip link add eth0 type veth peer eth1
ip address add fd00:e4::1/64 dev eth0 nodad
ip link set eth0 up
ip link set eth1 up
"""
FETCH = """
exec 3<>/dev/tcp/minio/9000
printf 'GET %s HTTP/1.0\\r\\nHost: minio:9000\\r\\n\\r\\n' "$1" >&3
wc -c <&3
"""


@pytest.fixture
def minio(env: Environment) -> Minio:
    """A client on this machine, and an object to fetch."""
    client = env.minio.client()
    client.put_object(env.minio.bucket, "body", io.BytesIO(BODY), len(BODY))
    return client


def upload(env: Environment, client: Minio) -> float:
    """Bits a second."""
    begin = time.monotonic()
    client.put_object(env.minio.bucket, "upload", io.BytesIO(BODY), len(BODY))
    return len(BODY) * 8 / (time.monotonic() - begin)


def download(env: Environment, client: Minio) -> float:
    """Bits a second."""
    begin = time.monotonic()
    answer = client.get_object(env.minio.bucket, "body")
    assert answer.read() == BODY
    answer.release_conn()
    return len(BODY) * 8 / (time.monotonic() - begin)


def fetched_by_redis(env: Environment) -> float:
    """Bits a second that reach a program in redis' container."""
    at = wires.site(env, "minio").at
    assert at.app
    inner = Minio("minio:9000", at.app.username, at.app.password, secure=False, region="us-east-1")
    path = inner.presigned_get_object(env.minio.bucket, "body").removeprefix("http://minio:9000")
    container, hands = wires.site(env, "redis").container.id, wires.site(env, "redis").hands
    begin = time.monotonic()
    done = hands.execute(container, ["bash", "-c", FETCH, "fetch", path])
    assert int(done.output) > len(BODY)
    return len(BODY) * 8 / (time.monotonic() - begin)


def about(rate: float, asked: float = RATE) -> None:
    """On a busy machine it may be less; but not once may it be more."""
    if rate > asked * (1 + AT_ONCE):
        pytest.fail(f"{rate / 1e6:.2f} of {asked / 1e6:.2f} Mbit/s")
    near(rate, asked)


def near(rate: float, asked: float = RATE) -> None:
    """Measured by when packets were taken, which on a busy machine is any time after they came."""
    assert asked * 0.85 < rate <= asked * (1 + AT_ONCE), f"{rate / 1e6:.2f} Mbit/s"


def fast(rate: float) -> None:
    """It is not throttled."""
    assert rate > FAST, f"{rate / 1e6:.2f} Mbit/s"


@pytest.mark.parametrize("backend", ["tc", "nfqueue"])
def test_uploads_and_downloads_have_the_rate_and_are_at_full_speed_afterwards(
    env: Environment, minio: Minio, eventually: Callable[..., None], backend: str
) -> None:
    """Of a client on this machine, through its published port; and what was measured says the same."""
    with env.chaos.throttle("minio", rate="4mbit", backend=backend) as throttle:
        eventually(lambda: about(upload(env, minio)))
        eventually(lambda: about(download(env, minio)))
    assert throttle.evidence["backend"] == backend
    for measured in throttle.evidence["measured"].values():
        assert measured["during"]["rate"] == pytest.approx(RATE, rel=0.1)
    eventually(lambda: fast(upload(env, minio)))
    eventually(lambda: fast(download(env, minio)))


@pytest.mark.parametrize(("direction", "slow", "quick"), [("in", upload, download), ("out", download, upload)])
def test_one_direction_alone_is_slow(
    env: Environment,
    minio: Minio,
    eventually: Callable[..., None],
    direction: str,
    slow: Callable[..., float],
    quick: Callable[..., float],
) -> None:
    """Bytes a second are eight times as many bits."""
    with env.chaos.throttle("minio", rate="500KB", direction=direction):
        eventually(lambda: about(slow(env, minio)))
        eventually(lambda: fast(quick(env, minio)))


def test_one_peer_alone_is_slow(env: Environment, minio: Minio, eventually: Callable[..., None]) -> None:
    """A program in another container is; one on this machine is not. And the other way round."""
    with env.chaos.throttle("minio", rate=RATE, peer="redis"):
        eventually(lambda: about(fetched_by_redis(env)))
        eventually(lambda: fast(download(env, minio)))
    with env.chaos.throttle("minio", rate=RATE, peer="host"):
        eventually(lambda: about(upload(env, minio)))
        eventually(lambda: fast(fetched_by_redis(env)))


def test_one_port_alone_is_slow(env: Environment, minio: Minio, eventually: Callable[..., None]) -> None:
    """On either side of the packets, for TCP and UDP."""
    with env.chaos.throttle("minio", rate="1mbit", port="9001,9002"):
        eventually(lambda: near(wires.flood(env, "redis", "minio", port=9002), 1e6))
        eventually(lambda: near(wires.flood(env, "minio", "redis", port=9002, side="from"), 1e6))
        eventually(lambda: fast(wires.flood(env, "redis", "minio", port=9003)))
        eventually(lambda: fast(upload(env, minio)))
    with env.chaos.throttle("minio", rate=RATE, port="9000", peer="host,redis"):
        eventually(lambda: about(upload(env, minio)))
        eventually(lambda: about(download(env, minio)))
        eventually(lambda: about(fetched_by_redis(env)))


def test_both_ways_may_have_rates_of_their_own_and_packets_may_come_late_too(
    env: Environment, minio: Minio, eventually: Callable[..., None]
) -> None:
    """Two throttles in two directions, and latency."""
    with (
        env.chaos.throttle("minio", rate=RATE, direction="in"),
        env.chaos.throttle("minio", rate=2 * RATE, direction="out", backend="nfqueue"),
        env.chaos.latency("minio", delay="30ms", direction="out"),
    ):
        eventually(lambda: about(upload(env, minio)))
        eventually(lambda: about(download(env, minio), 2 * RATE))
        assert wires.packets(env, "minio", "redis")["ms"][0] >= 30


def test_it_is_seen_while_clients_keep_the_way_full(env: Environment, minio: Minio) -> None:
    """They leave little room for a flood of its own; and none of them fails."""
    stop = threading.Event()

    def busy() -> int:
        upload(env, env.minio.client())
        done = 1
        while not stop.is_set():
            upload(env, env.minio.client())
            done += 1
        return done

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(busy) for _ in range(3)]
        try:
            with env.chaos.throttle("minio", rate="1mbit", direction="in") as throttle:
                assert throttle.evidence["measured"]
        finally:
            stop.set()
        assert all(client.result(120) for client in clients)
    assert minio.stat_object(env.minio.bucket, "upload").size == len(BODY)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"rate": "8kbit"},
        {"rate": "100mbit", "direction": "in"},
        {"port": "9000", "direction": "out"},
        {"peer": "redis,host", "port": "9000,9001", "burst": "64KiB"},
    ],
    ids=str,
)
def test_afterwards_its_interfaces_are_what_they_were(env: Environment, parameters: dict[str, Any]) -> None:
    """Shapers, filters, devices, the length of their queues; whatever was meant."""
    env.chaos.throttle("minio", direction="in", duration="1h").heal()  # the surgeon is there
    before = wires.portrait(env, "minio")
    throttle = env.chaos.throttle("minio", **parameters)
    assert wires.portrait(env, "minio") != before
    assert throttle.heal().stage == "healed"
    assert wires.portrait(env, "minio") == before


@pytest.mark.parametrize(
    ("add", "remove", "stands_in", "name"),
    [
        (["root", "handle", "1:", "tbf", "rate", "9gbit", "burst", "1mb", "limit", "1mb"], "root", "out", "tbf 1:"),
        (["ingress"], "ingress", "in", "ingress ffff:"),
    ],
)
def test_a_shaper_of_somebody_else_is_left_alone_and_stands_in_the_way_of_its_own_direction(
    env: Environment, add: list[str], remove: str, stands_in: str, name: str
) -> None:
    """The refusal names it."""
    env.chaos.throttle("redis").heal()
    wires.inside(env, "redis", "tc", "qdisc", "add", "dev", "eth0", *add)
    try:
        before = wires.portrait(env, "redis")
        for direction in ("both", stands_in):
            with pytest.raises(FaultUnfit, match=f"eth0 has a queueing discipline already: {name}"):
                env.chaos.throttle("redis", direction=direction)
            assert env.chaos.history()[-1]["event"] == "fault.refused"
        with env.chaos.throttle("redis", direction="in" if stands_in == "out" else "out"):
            assert name in wires.portrait(env, "redis")
        with env.chaos.throttle("redis", backend="nfqueue"):
            assert name in wires.portrait(env, "redis")
        assert wires.portrait(env, "redis") == before
    finally:
        wires.inside(env, "redis", "tc", "qdisc", "del", "dev", "eth0", remove)


def test_a_second_one_in_the_same_direction_is_refused_with_the_name_of_the_first(env: Environment) -> None:
    """Also where another program would do it."""
    with env.chaos.throttle("redis", direction="in") as first:
        for wish in ({}, {"direction": "in"}, {"direction": "in", "backend": "nfqueue"}, {"peer": "host"}):
            with pytest.raises(FaultConflict, match=first.id):
                env.chaos.throttle("redis", **wish)


def test_a_restart_ends_it_and_that_is_told_soon(
    env: Environment, engine: docker.DockerClient, eventually: Callable[..., None]
) -> None:
    """Not only when its time is over: the new network namespace has no shaper."""
    throttle = env.chaos.throttle("redis", duration="1h")
    engine.api.restart(f"envctl-{env.name}-redis-1", timeout=1)
    eventually(lambda: equal(env.chaos.status(), []))
    assert events(env, throttle)[-1] == "fault.lost"
    env.wait_recovered("redis")
    eventually(lambda: fast(wires.flood(env, "minio", "redis")))


def test_it_stays_when_the_tools_container_is_killed_and_is_healed_by_another(
    env: Environment, engine: docker.DockerClient, eventually: Callable[..., None]
) -> None:
    """The kernel needs nobody for it."""
    before = wires.portrait(env, "redis")
    with env.chaos.throttle("redis", duration="1h") as throttle:
        engine.containers.get(f"envctl-{env.name}-surgeon").remove(force=True)
        eventually(lambda: near(wires.flood(env, "minio", "redis"), 1e6))
    assert throttle.healed
    assert throttle.healed.stage == "healed"
    assert wires.portrait(env, "redis") == before


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The warden sees that its holder is dead."""
    before = wires.portrait(env, "redis")
    with injected("env.chaos.throttle('redis', duration='1h').__enter__()") as other:
        [entry] = env.chaos.status()
        other.kill()
        eventually(lambda: equal(env.chaos.status(), []))
    assert env.chaos.history()[-1]["id"] == entry.id
    assert env.chaos.history()[-1]["event"] == "fault.healed"
    assert wires.portrait(env, "redis") == before


def wire(env: Environment, seconds: float = 600, **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    """As a plan has it."""
    leaf = ["tbf", "rate", "1mbit", "burst", "4kb", "limit", "40kb"]
    at = wires.site(env, "redis")
    made = {"token": "5eed1234", "pid": at.hands.pid(at.container.id), "seconds": seconds, "directions": ["in", "out"]}
    return {**made, "ports": [], "v4": None, "v6": None, "how": {"leaf": leaf}, **changed}


def test_it_ends_by_itself_where_nobody_heals(env: Environment, eventually: Callable[..., None]) -> None:
    """Injector and warden are dead, and no verb is run: a child in the tools container remains."""
    before = wires.portrait(env, "redis")
    operate = wires.site(env, "redis").hands.operation
    operate(env.name, "network.begin", backend="tc", wire=wire(env, 1), probes=[])
    eventually(lambda: equal(wires.portrait(env, "redis"), before))


@pytest.mark.parametrize(
    "half",
    [
        [],
        ["ip link add envctl5eed120 type ifb"],
        ["ip link add envctl5eed120 type ifb", "tc qdisc add dev eth0 ingress"],
        ["tc qdisc add dev eth0 root handle e45e: htb", "ip link add envctl5eed120 type ifb"],
    ],
    ids=len,
)
def test_what_broke_off_in_the_middle_is_taken_away(env: Environment, half: list[str]) -> None:
    """As often as it is asked for; nothing at all is fine."""
    before, operate = wires.portrait(env, "redis"), wires.site(env, "redis").hands.operation
    for command in half:
        wires.inside(env, "redis", *command.split())
    for _ in range(2):
        done = operate(env.name, "network.end", backend="tc", wire=wire(env), probes=[])
        assert (done["left"], done["lasted"]) == ([], False)
    after = wires.portrait(env, "redis")
    assert after.replace("qlen 1000", "") == before.replace("qlen 1000", "")


def test_two_whose_handles_are_alike_end_each_by_itself(env: Environment) -> None:
    """One for what comes in and one for what goes out; a handle has little room for a name."""
    operate, before = wires.site(env, "redis").hands.operation, wires.portrait(env, "redis")
    comes = {"backend": "tc", "wire": wire(env, directions=["in"]), "probes": []}
    goes = {"backend": "tc", "wire": wire(env, directions=["out"], token="5e00abcd"), "probes": []}
    for one in (comes, goes):
        assert list(operate(env.name, "network.begin", **one)["said"]["shapers"]) == [*one["wire"]["directions"], "at"]
    done = operate(env.name, "network.end", **goes)
    assert (done["lasted"], done["left"]) == (True, [])
    done = operate(env.name, "network.end", **comes)
    assert (done["lasted"], done["left"]) == (True, [])
    assert wires.portrait(env, "redis") == before


def test_ipv6_is_meant_too_where_there_is_an_address_of_it(env: Environment, eventually: Callable[..., None]) -> None:
    """By its ports, and by a peer's address; in a network of its own, since the engine's may have none."""
    at = wires.site(env, "redis")
    at.hands.spawn(at.hands.surgeon(env.name), ["unshare", "--net", "sh", "-c", "echo $$ > /run/six; exec sleep 300"])
    eventually(lambda: equal(at.hands.operate(env.name, ["grep", ".", "/run/six"]).exit_code, 0))
    pid = int(at.hands.operate(env.name, ["cat", "/run/six"]).output)
    try:
        wires.inside_of(at, pid, "sh", "-c", SIX)
        before = wires.inside_of(at, pid, "sh", "-c", wires.PORTRAIT)
        for changed in ({"ports": [6379]}, {"v4": ["192.0.2.1"], "v6": ["fd00:e4::2"]}):
            told = {"backend": "tc", "wire": {**wire(env), "pid": pid, **changed}, "probes": []}
            at.hands.operation(env.name, "network.begin", **told)
            shown = wires.inside_of(at, pid, "sh", "-c", wires.PORTRAIT)
            assert shown.count("protocol ipv6") >= 2
            assert shown.count("protocol ip ") >= 2
            assert at.hands.operation(env.name, "network.end", **told)["lasted"]
            assert wires.inside_of(at, pid, "sh", "-c", wires.PORTRAIT) == before
    finally:
        at.hands.operate(env.name, ["kill", str(pid)])


def test_what_it_cannot_do_is_told_at_once_and_nothing_is_touched(env: Environment) -> None:
    """All of it together, with what is wanted."""
    with pytest.raises(ConfigurationError) as refused:
        env.chaos.throttle("redis", rate=0, burst="much", direction="up")
    assert [problem.key for problem in refused.value.problems] == ["--rate", "--burst", "--direction"]
    with pytest.raises(ConfigurationError) as refused:
        env.chaos.throttle("redis", burst=100, peer="redis", port="0", backend="magic")
    told = "\n".join(problem.message for problem in refused.value.problems)
    assert all(f"--{option}: wanted" in told for option in ("backend", "burst", "peer", "port")), told
    with pytest.raises(ConfigurationError, match="minio"):
        env.chaos.throttle("redis", peer="mini")
    assert env.chaos.status() == []


def equal(found: object, wanted: object) -> None:
    """With both in the message."""
    assert found == wanted


def events(env: Environment, throttle: Injection) -> list[str]:
    """What the history tells of it."""
    return [line["event"] for line in env.chaos.history() if line.get("id") == throttle.id]

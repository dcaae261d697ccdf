"""The engine is restarted while a service's network is broken: the fault goes on and is healed, or is told as lost.

With an engine of the tests' own; see `second_engine`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.integration.chaos.second_engine import SecondEngine, second_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.integration.chaos.second_engine import Client

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("dockerd") is None, reason="a second engine needs root and a dockerd"
)

LIVE = "--live-restore"
"""Containers go on while the engine is away."""

_PROGRAM = """
import json, socket, sys, time
import envctl, redis
from envctl.chaos import warden
from envctl.chaos.healing import still_in_force
from envctl.engine.addresses import addresses
from tests.integration.chaos import wires

env = envctl.attach(sys.argv[1])
at = wires.site(env, "redis")
place = addresses(at.hands.inspect(at.container.id)).v4[0]
login = {"username": at.at.app.username, "password": at.at.app.password}
live = redis.Redis(place, 6379, **login, single_connection_client=True, socket_timeout=60, retry=None)
live.set("large", bytes(100_000))
at.hands.surgeon(env.name)
faults = []

def portrait():
    # Docker's own DNS has other ports after each start of the engine.
    return [line for line in wires.portrait(env, "redis").splitlines() if "127.0.0.11" not in line]

def inject(duration, held):
    # Each by another back end: the kernel's shapers, a program in the surgeon, and rules.
    faults.append(env.chaos.throttle("redis", rate="1mbit", duration=duration))
    faults.append(env.chaos.latency("redis", delay="100ms", duration=duration))
    faults.append(env.chaos.refuse("redis", duration=duration))
    if held:
        [one.__enter__() for one in faults]
    return {one.id: one.evidence["backend"] for one in faults}

def took(act, *words):
    begin = time.monotonic()
    act(*words)
    return time.monotonic() - begin

def feel():
    try:
        socket.create_connection((place, 6379), 60).close()
        new = "accepted"
    except ConnectionRefusedError:
        new = "refused"
    return {"new": new, "ping": min(took(live.ping) for _ in range(3)), "large": took(live.get, "large")}

def heal():
    return {one.id: one.heal().stage for one in faults}

for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    """With the images that are needed."""
    with second_engine(tmp_path_factory.mktemp("engine")) as engine:
        engine.start(LIVE)
        engine.load("redis", "tools")
        yield engine
        engine.envctl("down")


@pytest.fixture
def client(second: SecondEngine) -> Iterator[Client]:
    """A process that injects, and has a connection to Redis, which lives on while the engine is away."""
    second.have(LIVE)
    with second.client(_PROGRAM) as one:
        yield one


@pytest.fixture
def mortal(second: SecondEngine) -> Iterator[Client]:
    """The same, where the engine ends its containers when it ends."""
    second.have()
    with second.client(_PROGRAM) as one:
        yield one


@pytest.mark.parametrize(
    ("healer", "by"),
    [("who injected", signal.SIGTERM), ("who injected", signal.SIGKILL), ("another", signal.SIGKILL)],
)
def test_containers_live_on_and_the_faults_with_them(
    second: SecondEngine, client: Client, healer: str, by: signal.Signals
) -> None:
    """Who injected heals, though its connections to the engine and its lines to the surgeon broke; others do, too."""
    before = client.ask("portrait()")
    injected = client.ask(f"inject('1h', held={healer == 'who injected'})")
    assert sorted(injected.values()) == ["nfqueue", "nft", "tc"]
    second.end(by)
    second.start(LIVE)
    felt = client.ask("feel()")
    assert felt["new"] == "refused"
    assert felt["ping"] >= 0.099, felt
    assert felt["large"] >= 0.6, felt
    if healer == "another":
        assert healed(second) == dict.fromkeys(injected, "healed")
    else:
        assert client.ask("heal()") == dict.fromkeys(injected, "healed")
    assert_well(second, client, before)


def test_the_warden_heals_when_their_time_is_over(
    second: SecondEngine, client: Client, eventually: Callable[..., None]
) -> None:
    """Alone, after two restarts meanwhile."""
    before = client.ask("portrait()")
    injected = client.ask("inject('15s', held=False)")
    for by in (signal.SIGTERM, signal.SIGKILL):
        second.end(by)
        second.start(LIVE)
    eventually(lambda: assert_ended(second, injected, "fault.healed"))
    assert_well(second, client, before)


def test_without_an_engine_nothing_is_healed_nor_forgotten(
    second: SecondEngine, client: Client, eventually: Callable[..., None]
) -> None:
    """Healing is due, since who held them died, and is done when the engine is back."""
    before = client.ask("portrait()")
    injected = client.ask("inject('1h', held=True)")
    second.end(signal.SIGKILL)
    for verb in (["chaos", "heal"], ["chaos", "status"], ["wait"]):
        refused = second.envctl(*verb)
        assert (refused.returncode, refused.stdout) == (4, "")
        assert "no engine answers there" in refused.stderr
    client.kill()
    eventually(lambda: assert_begun(second))
    assert {entry.id for entry in second.journal.entries()} == set(injected)
    second.start(LIVE)
    eventually(lambda: assert_ended(second, injected, "fault.healed"))
    with second.client(_PROGRAM) as another:
        assert_well(second, another, before)


def test_what_was_lost_by_a_stop_does_not_end_the_stop(second: SecondEngine, client: Client) -> None:
    """The warden leaves it alone until that is over."""
    throttled, stopped = (client.ask(f"env.chaos.{name}('redis', duration='1h').id") for name in ("throttle", "stop"))
    assert client.ask("[still_in_force(env.chaos._ward, one) for one in env.chaos.status()]") == [False, True]
    assert client.ask("sorted(warden._lapsed(env.chaos._ward, env.chaos.status()))") == []
    assert healed(second) == {stopped: "healed", throttled: "lost"}


def test_where_containers_end_with_the_engine_the_faults_are_lost(
    second: SecondEngine, mortal: Client, eventually: Callable[..., None]
) -> None:
    """The warden tells that before anybody starts the service again; which `up` does."""
    injected = mortal.ask("inject('1h', held=False)")
    second.end()
    second.start()
    eventually(lambda: assert_ended(second, injected, "fault.lost"))
    told = second.envctl("chaos", "status").stdout
    assert told.startswith("no fault is in force")
    assert all(f"{fault} on redis: its container is exited" in told for fault in injected), told
    second.have()
    assert second.envctl("wait").returncode == 0
    with second.client(_PROGRAM) as another:
        now = another.ask("portrait()")
        assert not [line for line in now if any(word in line for word in ("envctl", "ENVCTL", "tbf", "ingress"))]
        assert_well(second, another, now)


def assert_well(second: SecondEngine, client: Client, before: list[str]) -> None:
    """Nothing is in force, nothing is left, and whoever comes is welcome."""
    assert not second.journal.entries()
    assert client.ask("portrait()") == before
    assert client.ask("feel()")["new"] == "accepted"
    second.await_idle()


def assert_ended(second: SecondEngine, faults: Iterable[str], how: str) -> None:
    """All of them are over."""
    assert_told(second, faults, how)
    assert not second.journal.entries()


def assert_begun(second: SecondEngine) -> None:
    """Somebody is about to heal."""
    assert second.journal.history()[-1]["event"] == "fault.healing"


def assert_told(second: SecondEngine, faults: Iterable[str], event: str) -> None:
    """The last that is told of each of them."""
    last = {line.get("id"): line["event"] for line in second.journal.history()}
    assert {fault: last[fault] for fault in faults} == dict.fromkeys(faults, event)


def healed(second: SecondEngine) -> dict[str, str]:
    """How `envctl chaos heal` ended each."""
    done = second.envctl("--json", "chaos", "heal")
    assert done.returncode == 0, done.stderr
    return {one["id"]: one["stage"] for one in json.loads(done.stdout.splitlines()[-1])["healed"]}

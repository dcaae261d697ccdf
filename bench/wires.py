"""Faults of the network beside Toxiproxy: how exact, how fast, and what a queue lets through."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import docker
from compared import ENVCTL, Row, seconds
from hurt import timed

from envctl import attach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envctl.environment import Environment

    Toxic = Callable[[str, dict[str, int]], Callable[[], None]]

NAME = "envctl-bench-wires"
TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
INJECTED, HEALED = 150.0, 100.0
"""Milliseconds for injecting and healing with proof."""

CEILING = 200.0
"""MB a second that a queue without delay should let through."""

DELAY = 50.0
RATE = 10_000_000
BODY, BIG = 2_000_000, 64_000_000


@contextmanager
def running(*options: str) -> Iterator[Environment]:
    """Redis with two values, and none afterwards."""
    seconds([str(ENVCTL), "--env", NAME, "-q", "up", "--service", "redis", "--ports", "auto", *options])
    try:
        env = attach(NAME)
        with env.redis.client() as client:
            client.set("body", b"x" * BODY)
            client.set("big", b"x" * BIG)
        yield env
    finally:
        seconds([str(ENVCTL), "--env", NAME, "-q", "down"])


class Client:
    """Redis by hand: what is measured is the way, not a library."""

    def __init__(self, env: Environment, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = env.redis.endpoint.app
        assert app
        self.ask(f"AUTH {app.username} {app.password}", 5)

    def ask(self, command: str, size: int) -> None:
        """One command, and an answer of so many bytes."""
        self._socket.sendall(command.encode() + b"\r\n")
        while size > 0:
            size -= len(self._socket.recv(min(size, 1 << 20)))

    def round_trips(self, count: int = 30) -> list[float]:
        """Milliseconds of each."""
        return [timed(lambda: self.ask("PING", 7))[0] for _ in range(count)]

    def rate(self, key: str, size: int, skip: int) -> float:
        """Bytes a second of a value, without its first `skip` bytes."""
        self._socket.sendall(f"GET {key}\r\n".encode())
        total = left = size + len(f"${size}\r\n\r\n")
        while total - left < skip:
            left -= len(self._socket.recv(min(left, 1 << 16)))
        began, rest = time.perf_counter(), left
        while left > 0:
            left -= len(self._socket.recv(min(left, 1 << 20)))
        return rest / (time.perf_counter() - began)


def wires(runs: int) -> list[Row]:
    """All rows."""
    with running() as env:
        rows = [*reactions(env, runs), *beside(env, runs), ceiling(env, runs)]
        with toxiproxy(at := (env.redis.endpoint.host, env.redis.endpoint.port)) as (_, listening):
            plain, theirs = passed(Client(env, at), runs), passed(Client(env, listening), runs)
    with running("--relay") as env:
        ours = passed(Client(env, (env.redis.endpoint.host, env.redis.endpoint.port)), runs)
    for name, other in (("no relay", plain), ("Toxiproxy without a toxic", theirs)):
        rows.append(Row(f"the relay, one connection: MB/s / {name}", ours[0], other[0], "MB/s", "(reference)"))
        rows.append(Row(f"the relay: a round trip / {name}", ours[1], other[1], "ms", "(reference)"))
    return rows


def passed(client: Client, runs: int) -> tuple[float, float]:
    """MB a second of one connection, and the milliseconds of a round trip."""
    return median(client.rate("big", BIG, 1) / 1e6 for _ in range(runs)), median(client.round_trips(200))


def reactions(env: Environment, runs: int) -> list[Row]:
    """Injecting and healing, each with its proof, with a sidecar that is there."""
    faults = {"latency": {"delay": "50ms"}, "throttle": {"rate": "10mbit"}, "partition": {}, "refuse": {}}
    rows = []
    for fault, parameters in faults.items():
        found = []
        for _ in range(runs + 1):
            took, injection = timed(partial(env.chaos.call, fault, "redis", parameters))
            found.append((took, timed(injection.heal)[0]))  # type: ignore[attr-defined]
        for index, (what, limit) in enumerate((("inject and verify", INJECTED), ("heal and verify", HEALED))):
            ours = median(one[index] for one in found[1:])
            rows.append(Row(f"{fault}: {what} / {limit:g} ms", ours, limit, "ms", "≤ 1"))
    return rows


def beside(env: Environment, runs: int) -> list[Row]:
    """How far from what was asked for, against Toxiproxy in front of the same server."""
    at = (env.redis.endpoint.host, env.redis.endpoint.port)
    with toxiproxy(at) as (toxic, listening):
        mine, theirs = Client(env, at), Client(env, listening)
        plain, plain_theirs = median(mine.round_trips()), median(theirs.round_trips())
        late, late_theirs, rate, rate_theirs, reaction = [], [], [], [], []
        for _ in range(runs):
            with env.chaos.latency("redis", delay=DELAY / 1000):
                late += [abs(one - plain - DELAY) for one in mine.round_trips()]
            took, remove = timed(lambda: toxic("latency", {"latency": int(DELAY)}))
            reaction.append(took)
            late_theirs += [abs(one - plain_theirs - DELAY) for one in theirs.round_trips()]
            remove()  # type: ignore[operator]
            with env.chaos.throttle("redis", rate=f"{RATE}bit", direction="out"):
                rate.append(100 * abs(mine.rate("body", BODY, BODY // 4) * 8 / RATE - 1))
            remove = toxic("bandwidth", {"rate": RATE // 8000})
            rate_theirs.append(100 * abs(theirs.rate("body", BODY, BODY // 4) * 8 / RATE - 1))
            remove()
    what = f"latency {DELAY:g} ms: how far from it, median of round trips"
    return [
        Row(f"{what} / Toxiproxy", median(late), median(late_theirs), "ms", "≤ 1"),
        Row("throttle 10 Mbit/s: how far from it / Toxiproxy", median(rate), median(rate_theirs), "%", "≤ 1"),
        Row("Toxiproxy: until a toxic is set (no proof) / 150 ms", median(reaction), INJECTED, "ms", "(reference)"),
    ]


def ceiling(env: Environment, runs: int) -> Row:
    """What one connection from the machine to the container gets through a queue that holds nothing back."""
    container = docker.from_env().containers.get(f"envctl-{NAME}-redis-1")
    address = next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
    client = Client(env, (address, 6379))
    client.rate("big", BIG, 1)
    with env.chaos.latency("redis", delay=1e-6, direction="both"):
        through = median(client.rate("big", BIG, 1) / 1e6 for _ in range(runs))
    return Row("a queue without delay, one connection: MB/s / 200", through, CEILING, "MB/s", "≥ 1")


@contextmanager
def toxiproxy(upstream: tuple[str, int]) -> Iterator[tuple[Toxic, tuple[str, int]]]:
    """Toxiproxy in front of a server: sets a toxic (and gives what removes it), and where it listens."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([go, "install", TOXIPROXY], env={**os.environ, "GOBIN": folder}, check=True, capture_output=True)
        process = subprocess.Popen([Path(folder) / "server", "-port", "28474"], stdout=subprocess.DEVNULL)
        try:
            _until_there(28474)
            _post("proxies", {"name": "redis", "listen": "127.0.0.1:28475", "upstream": f"{upstream[0]}:{upstream[1]}"})

            def toxic(kind: str, attributes: dict[str, int]) -> Callable[[], None]:
                wanted = {"name": kind, "type": kind, "stream": "downstream", "attributes": attributes}
                _post("proxies/redis/toxics", wanted)
                return lambda: _delete(f"proxies/redis/toxics/{kind}")

            yield toxic, ("127.0.0.1", 28475)
        finally:
            process.kill()
            process.wait()


def _until_there(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit("Toxiproxy does not start")


def _post(path: str, content: dict[str, object]) -> None:
    data = json.dumps(content).encode()
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:28474/{path}", data, method="POST")).read()


def _delete(path: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:28474/{path}", method="DELETE")).read()


MEASURES = {"wires": wires}

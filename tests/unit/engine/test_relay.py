"""The relay outside of a container: what it passes on, what it does to connections, and that it ends it by itself."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from envctl.engine import gates
from envctl.engine.gates.relay_effects import Bucket, Jitter
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0


class Relaid:
    """A relay of its own before an echo, and orders for it."""

    def __init__(self) -> None:
        self._name, self.token = secrets.token_hex(4), secrets.token_hex(4)
        self._echo = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        self.port = _free_port()
        gate = {"service": "localhost", "port": self._echo.getsockname()[1], "listen": self.port}
        self.process = subprocess.Popen([sys.executable, "-c", gates.program("relay"), json.dumps([gate]), self._name])
        until(lambda: self.connected().close(), PATIENCE, "it listens")

    def connected(self) -> socket.socket:
        """A client over which something has gone both ways."""
        try:
            made = socket.create_connection(("127.0.0.1", self.port), 10)
        except OSError as error:
            raise NotReady(str(error)) from error
        with suppress(OSError):
            made.sendall(b"hello")
            if made.recv(100) == b"hello":
                return made
        made.close()
        raise NotReady("closed")

    def tell(self, act: str, *probes: dict[str, Any], seconds: float = 60, **effects: object) -> dict[str, Any]:
        """What came of an order."""
        order = {"token": self.token, "service": "localhost", "ports": [], "seconds": seconds, **effects}
        told = json.dumps({"act": act, "order": order, "probes": probes})
        command = [sys.executable, "-c", gates.program("relay_orders"), told, self._name]
        return dict(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._echo.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=_repeat, args=(self._echo.accept()[0],), daemon=True).start()


def _free_port() -> int:
    """Below those of outgoing connections: another process's may take any of theirs before the relay listens."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", 20000 + secrets.randbelow(12000))) as free:
            return int(free.getsockname()[1])


def _repeat(client: socket.socket) -> None:
    with suppress(OSError), client:
        while data := client.recv(1 << 16):
            client.sendall(data)
        client.sendall(b"bye")


def _send(client: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        client.sendall(data)


@pytest.fixture(scope="module")
def relaid() -> Iterator[Relaid]:
    """One for all."""
    made = Relaid()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    """Each has a token of its own."""
    if "relaid" in request.fixturenames:
        request.getfixturevalue("relaid").token = secrets.token_hex(4)


def test_bytes_come_whole_and_the_end_of_one_way_leaves_the_other_open(relaid: Relaid) -> None:
    """More than any buffer takes; what is said after the client has ended its part still comes."""
    body = secrets.token_bytes(1 << 20) * 8
    with relaid.connected() as client:
        sending = threading.Thread(target=lambda: (client.sendall(body), client.shutdown(socket.SHUT_WR)), daemon=True)
        sending.start()
        got = bytearray()
        while data := client.recv(1 << 18):
            got += data
        sending.join(PATIENCE)
    assert got == body + b"bye"


def test_hundreds_of_connections_are_carried_at_once(relaid: Relaid) -> None:
    """And each is its own."""
    clients = [relaid.connected() for _ in range(300)]
    for number, client in enumerate(clients):
        client.sendall(f"{number}".encode())
    assert [client.recv(100) for client in clients] == [f"{number}".encode() for number in range(300)]
    for client in clients:
        client.close()


def test_an_order_that_nobody_ends_ends_by_itself(relaid: Relaid) -> None:
    """What waited goes on; who ends it later hears that it had not lasted, once."""
    with relaid.connected() as client:
        relaid.tell("begin", seconds=1, **{"black-hole": {"connections": "all"}})
        client.sendall(b"late")
        assert client.recv(100) == b"late"
    assert relaid.tell("end")["said"] == {"begun": True, "lasted": False}
    assert relaid.tell("end")["said"] == {"begun": False, "lasted": False}


def test_an_order_that_comes_twice_is_one(relaid: Relaid) -> None:
    """The second changes nothing: a cut cuts nobody who came since."""
    relaid.tell("begin", cut={})
    with relaid.connected() as client:
        assert relaid.tell("begin", cut={})["said"]["force"]
        client.sendall(b"here")
        assert client.recv(100) == b"here"
    assert relaid.tell("end")["said"] == {"begun": True, "lasted": True}


def test_orders_combine(relaid: Relaid) -> None:
    """Two delays of one way add up, beside a rate; each ends alone."""
    way = {"kind": "times", "way": "in", "count": 3, "every": 0.01, "wait": 5}
    delay = {"ways": ["in"], "delay": 0.3, "seed": 1}
    relaid.tell("begin", latency=delay, throttle={"ways": ["in"], "rate": 1e6, "burst": 4096, "waiting": 65536})
    first, relaid.token = relaid.token, secrets.token_hex(4)
    assert 600 <= relaid.tell("begin", way, latency=delay)["after"][0]["ms"][0] < 2000
    relaid.tell("end")
    relaid.token = first
    assert 300 <= relaid.tell("measure", way)["after"][0]["ms"][0] < 600
    relaid.tell("end")


def test_connections_that_share_a_rate_have_like_parts_of_it(relaid: Relaid) -> None:
    """None goes without, whoever came first."""
    clients = [relaid.connected() for _ in range(3)]
    relaid.tell("begin", throttle={"ways": ["out"], "rate": 400_000, "burst": 4096, "waiting": 65536})
    for client in clients:
        client.settimeout(0.1)
        threading.Thread(target=_send, args=(client, bytes(1 << 20)), daemon=True).start()
    way = {"kind": "rate", "way": "out", "skip": 4096, "bytes": 400_000, "wait": 1}
    assert 2_900_000 < relaid.tell("measure", way)["after"][0]["rate"] < 3_500_000
    came, end = [0, 0, 0], time.monotonic() + 2
    while time.monotonic() < end:
        for number, client in enumerate(clients):
            with suppress(TimeoutError):
                came[number] += len(client.recv(1 << 16))
    relaid.tell("end")
    assert max(came) < 3 * min(came)
    for client in clients:
        client.close()


def test_what_is_no_order_ends_the_conversation_and_not_the_relay(relaid: Relaid) -> None:
    """Also a service that it does not know."""
    with pytest.raises(subprocess.CalledProcessError):
        relaid.tell("begin", nonsense={}, latency={"ways": 3})
    relaid.connected().close()


def test_a_bucket_lets_the_rate_through_and_what_waited_for_a_processor_is_made_up_for() -> None:
    """A thousand bytes a second, a hundred at once."""
    bucket, now = Bucket(1000, 100), time.monotonic()
    assert bucket.allows(500, now)[0] == 100
    bucket.take(100)
    count, wait = bucket.allows(500, now)
    assert count == 0
    assert 0 < wait <= 0.1
    assert 195 <= bucket.allows(500, now + 0.2)[0] <= 200


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_jitter_is_spread_around_the_delay_and_can_be_repeated(distribution: str) -> None:
    """Never before its time; the same seed draws the same."""
    wanted = {"delay": 0.1, "jitter": 0.02, "distribution": distribution, "correlation": 0, "seed": 7}
    one, other = Jitter(wanted), Jitter(wanted)
    drawn = [one.draw() for _ in range(2000)]
    assert drawn == [other.draw() for _ in range(2000)]
    assert min(drawn) >= 0
    assert abs(sum(drawn) / len(drawn) - 0.1) < 0.005
    if distribution == "uniform":
        assert min(drawn) >= 0.08
        assert max(drawn) <= 0.12

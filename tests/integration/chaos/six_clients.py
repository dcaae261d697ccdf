"""A network that has IPv6, and clients in it that speak to Redis by the family of addresses that they are told: two
containers of the user's, and a second, smaller server at Redis' own addresses.
"""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.engine.addresses import addresses
from tests.integration.chaos import wires

if TYPE_CHECKING:
    from envctl.environment import Environment

REDIS, BESIDE = 6379, 7000
"""Ports at the same addresses."""
SIZE = 100_000
"""Bytes that a visitor fetches."""
FETCH = f"GETRANGE body 0 {SIZE - 1}"
PATIENCE = 120.0

_PROGRAM = """
import json, socket, threading, time
live = {}
def take(stream):
    line = stream.readline().decode().strip()
    if line.startswith("$"):
        stream.read(int(line[1:]) + 2)
    return line or "closed"
def connect(name, address, port, wait, greeting=()):
    live[name] = one = socket.create_connection((address, port), wait)
    for text in greeting:
        ask(name, text, wait)
    return "connected"
def ask(name, text, wait):
    live[name].settimeout(wait)
    live[name].sendall(text.encode() + b"\\r\\n" * bool(text))
    return take(live[name].makefile("rb"))
def close(name):
    port = live[name].getsockname()[1]
    live.pop(name).close()
    return str(port)
def visit(address, port, wait, login, fetch):
    with socket.create_connection((address, port), wait) as one, one.makefile("rb") as stream:
        said = []
        for text in (login, "PING", fetch, "QUIT"):
            one.sendall(text.encode() + b"\\r\\n")
            said.append(take(stream))
        return " ".join([*said, take(stream)])
def told(name, *words):
    begin = time.monotonic()
    try:
        said = globals()[name](*words)
    except TimeoutError:
        said = "nothing"
    except ConnectionRefusedError:
        said = "refused"
    except (ConnectionResetError, BrokenPipeError):
        said = "reset"
    except OSError as error:
        said = str(error)
    return [said, time.monotonic() - begin]
def control(one):
    with one, one.makefile("rw") as stream:
        stream.write(json.dumps(told(*json.loads(stream.readline()))) + "\\n")
def serve(one):
    with one, one.makefile("rb") as stream:
        for line in stream:
            word, *rest = line.decode().split()
            many = b"$%d\\r\\n" % SIZE + bytes(SIZE) + b"\\r\\n"
            one.sendall({"GETRANGE": many, "PING": b"+PONG\\r\\n"}.get(word, b"+OK\\r\\n"))
            if word == "QUIT":
                break
def listen(port, act):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=50, dualstack_ipv6=True)
    while True:
        threading.Thread(target=act, args=(listener.accept()[0],), daemon=True).start()
threading.Thread(target=listen, args=(7000, serve), daemon=True).start()
listen(9000, control)
"""


def compose() -> str:
    """A compose file: each run has a subnet of its own, of those that are nobody's (RFC 4193)."""
    number = secrets.token_hex(5)
    client = {
        "image": "envctl/tools:1",
        "command": ["python3", "-c", f"SIZE = {SIZE}\n{_PROGRAM}"],
        "init": True,
        "stop_grace_period": "1s",
    }
    open_to_tests = {"ports": ["127.0.0.1::9000"], "labels": {"envctl.ready.tcp": ":9000"}}
    subnet = f"fd{number[:2]}:{number[2:6]}:{number[6:]}::/64"
    told = {
        "networks": {"default": {"enable_ipv6": True, "ipam": {"config": [{"subnet": subnet}]}}},
        "services": {
            "caller": {**client, **open_to_tests},
            "bystander": {**client, **open_to_tests},
            "beside": {**client, "network_mode": "service:redis", "depends_on": ["redis"]},
        },
    }
    return json.dumps(told)


@dataclass(frozen=True)
class Way:
    """From one container to a port of Redis' container, by one family of addresses. Answers come with the seconds that
    they took; `nothing`, `refused`, `reset` and `closed` are some.
    """

    env: Environment
    source: str
    family: str
    address: str
    port: int
    login: str
    control: tuple[str, int]

    def connect(self, wait: float = PATIENCE, name: str = "") -> tuple[str, float]:
        """A connection that is kept, in place of the one before; where it comes about, logged in."""
        return self._told("connect", name or self._name, self.address, self.port, wait, [self.login])

    def ask(self, text: str = "PING", wait: float = PATIENCE, name: str = "") -> tuple[str, float]:
        """What is answered on it."""
        return self._told("ask", name or self._name, text, wait)

    def close(self) -> str:
        """The port that it had here."""
        return self._told("close", self._name)[0]

    def visit(self) -> float:
        """Seconds of a new connection's whole life; everything is answered on it as it should."""
        said, took = self._told("visit", self.address, self.port, PATIENCE, self.login, FETCH)
        assert said == f"+OK +PONG ${SIZE} +OK closed"
        return took

    def both(self, count: int = 100, **settings: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """What became of datagrams to that port, and of others from it."""
        told = {"family": self.family, "port": self.port, "count": count, "every": 0.0005, **settings}
        ends = [(self.source, "redis", "to"), ("redis", self.source, "from")]
        probes = [wires.probe(self.env, source, sink, side=side, **told) for source, sink, side in ends]
        return wires.measured(self.env, *probes)

    @property
    def _name(self) -> str:
        return f"{self.family} {self.port}"

    def _told(self, *words: object) -> tuple[str, float]:
        with socket.create_connection(self.control, PATIENCE) as asked, asked.makefile("rw") as stream:
            stream.write(json.dumps(words) + "\n")
            stream.flush()
            said, took = json.loads(stream.readline())
        return str(said), float(took)


def ways(env: Environment) -> dict[tuple[str, int], list[Way]]:
    """From each client to each port, by either family."""
    redis = wires.site(env, "redis")
    assert redis.at.app
    has = addresses(redis.hands.inspect(redis.container.id))
    login, found = f"AUTH {redis.at.app.username} {redis.at.app.password}", {}
    for source in ("caller", "bystander"):
        at = wires.site(env, source).at
        for port in (REDIS, BESIDE):
            found[source, port] = [
                Way(env, source, family, address, port, login, (at.host, at.port))
                for family, [address] in (("v4", has.v4), ("v6", has.v6))
            ]
    return found

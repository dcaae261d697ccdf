"""ZooKeeper: what Kafka 3 keeps its state in."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.wire import CLOSED, network_reason
from envctl.services.zookeeper.chaos.clock import ZooKeeperClock
from envctl.services.zookeeper.chaos.disk import ZooKeeperDisk
from envctl.services.zookeeper.chaos.ways import ZooKeeperWays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.model import Endpoint
    from envctl.protocols import HasHandle, HasOptions, HasShell, HasVariables, Service


class ZooKeeper(ZooKeeperDisk, ZooKeeperClock, ZooKeeperWays):
    """One standalone ZooKeeper. It has no identities: what must be protected is protected in Kafka."""

    name = "zookeeper"
    ports: Mapping[str, int] = MappingProxyType({"zookeeper": 2181})
    standard: Mapping[str, int] = ports
    fast: Mapping[str, str] = MappingProxyType({"forceSync": "no"})
    fast_cost = "a crash of the machine (not of ZooKeeper) may lose Kafka's newest topics and rights"

    def ping(self, at: Endpoint, timeout: float) -> None:
        """Return when `srvr` says `Mode: standalone`, which only a server that serves sessions does."""
        try:
            answer = _srvr((at.host, at.port), timeout)
        except OSError as error:
            raise NotReady(network_reason(error, timeout)) from error
        if "\nMode: standalone\n" not in answer:
            first_line = answer.partition("\n")[0][:200]
            raise NotReady(f"srvr says: {first_line}" if answer else CLOSED)

    def apply_options(self, model: dict[str, Any], options: Mapping[str, str]) -> None:
        """Set zoo.cfg's names (`tickTime`, `autopurge.purgeInterval`) as the image's ZOOKEEPER_* variables."""
        environment = model.setdefault("environment", {})
        for option, value in options.items():
            words = re.sub(r"(?<=[a-z])(?=[A-Z])|[.-]", "_", option).upper()
            # Compose takes `$$` for a dollar sign.
            environment[f"ZOOKEEPER_{words}"] = value.replace("$", "$$")

    def variables(self, at: Endpoint) -> Mapping[str, str]:
        """ZOOKEEPER_CONNECT, in the form that Kafka's own settings use."""
        return {"ZOOKEEPER_CONNECT": at.address}

    def secret_variables(self) -> frozenset[str]:
        """None is secret."""
        return frozenset()

    def shell(self, at: Endpoint) -> tuple[Sequence[str], Mapping[str, str]]:  # noqa: ARG002 - the same everywhere
        """ZooKeeper's own shell; without the server's JVM options."""
        return ["zookeeper-shell", "127.0.0.1:2181"], {"KAFKA_OPTS": ""}

    def handle(self, at: Endpoint) -> ZooKeeperHandle:
        """Where it is; any ZooKeeper client takes the url."""
        return ZooKeeperHandle(at)


@dataclass(frozen=True)
class ZooKeeperHandle:
    """`env.zookeeper`."""

    endpoint: Endpoint

    @property
    def url(self) -> str:
        """`host:port`, as ZooKeeper clients take it."""
        return self.endpoint.address


def _srvr(address: tuple[str, int], timeout: float) -> str:
    """The whole answer to the four-letter word; empty when the connection closes at once, as docker-proxy does."""
    deadline = time.monotonic() + timeout
    with socket.create_connection(address, timeout) as connection:
        connection.sendall(b"srvr")
        answer = b""
        while part := connection.recv(4096):
            answer += part
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
    return answer.decode(errors="replace")


if TYPE_CHECKING:
    _service: Service = ZooKeeper()
    _options: HasOptions = ZooKeeper()
    _variables: HasVariables = ZooKeeper()
    _shell: HasShell = ZooKeeper()
    _handle: HasHandle = ZooKeeper()

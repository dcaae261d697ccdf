"""Host ports: chosen once, below the ephemeral range, pinned for the life of an environment.

Ports that the kernel hands to outgoing connections would be stolen between a container's death and its restart, and
ports that the engine picks change at every restart; so neither is ever used.
"""

from __future__ import annotations

import socket
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import PortTaken
from envctl.model import PortPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

LOWEST = 20000
"""Below this stand the well-known ports of other software."""

EPHEMERAL_LOW = 32768
"""Where outgoing connections begin on Linux unless /proc says otherwise."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One port to choose. `preferred` is the standard or configured host port, or 0; `fixed`: the user named it."""

    service: str
    name: str
    preferred: int
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """A port that could not be the preferred one, and who holds that."""

    wish: Wish
    got: int
    holder: str


def choose(
    wishes: Collection[Wish],
    policy: PortPolicy,
    environment: str,
    avoid: Collection[int],
    holder: Callable[[int], str],
) -> tuple[dict[Wish, int], list[Moved]]:
    """A free host port for each wish, and which had to move.

    `avoid` are ports that others have pinned, though nobody may listen there now; `holder` names who has a port.

    Raises:
        PortTaken: under `strict`; names every taken port and its owner.

    """
    chosen: dict[Wish, int] = {}
    moved: list[Moved] = []
    refused: list[str] = []
    candidates = _candidates(environment)
    for wish in wishes:
        used = {*avoid, *chosen.values()}
        preferring = bool(wish.preferred) and (policy is not PortPolicy.AUTO or wish.fixed)
        if preferring and wish.preferred not in used and is_free(wish.preferred):
            chosen[wish] = wish.preferred
        elif preferring and policy is PortPolicy.STRICT:
            refused.append(f"{wish.preferred} for {wish.service} is held by {holder(wish.preferred)}")
        else:
            chosen[wish] = _free(candidates, used, wish)
            moved += [Moved(wish, chosen[wish], holder(wish.preferred))] if preferring else []
    if refused:
        raise PortTaken(
            "the standard ports, and no others (--ports strict)",
            "; ".join(refused),
            "stop what holds them, or let envctl choose free ones with --ports prefer",
        )
    return chosen, moved


def _free(candidates: Iterator[int], used: Collection[int], wish: Wish) -> int:
    """The next candidate that nobody has."""
    for port in candidates:
        if port not in used and is_free(port):
            return port
    raise PortTaken(f"a free host port for {wish.service}", f"none from {LOWEST} up", "see `envctl ls`, `envctl gc`")


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections of a server that just ended linger in TIME_WAIT; they do not keep a new one from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except PermissionError:
            # A port below 1024 is not ours to open, but the engine's: whether somebody has it shows when we call.
            return probe.connect_ex(("127.0.0.1", port)) != 0
        except OSError:
            return False
    return True


def listener(port: int) -> str:
    """The process that listens on a port, as `name (pid N)`; empty when there is none or it may not be seen."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
            continue
        if connection.laddr.port == port:
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.NoSuchProcess:
                continue
    return ""


def _candidates(environment: str) -> Iterator[int]:
    """Each port of the range once, from a place that the environment's name decides, so that many environments
    that start at once seldom try the same one.
    """
    low, high = LOWEST, max(_ephemeral_low(), LOWEST + 1000)
    start = zlib.crc32(environment.encode()) % (high - low)
    return (low + (start + step) % (high - low) for step in range(high - low))


def _ephemeral_low(path: Path = Path("/proc/sys/net/ipv4/ip_local_port_range")) -> int:
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return EPHEMERAL_LOW


def pinned_by(others: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[int, str]:
    """Host port → the environment that has pinned it."""
    return {
        port: environment
        for environment, services in others.items()
        for ports in services.values()
        for port in ports.values()
    }

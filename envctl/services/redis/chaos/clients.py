"""Clients of Redis as `CLIENT LIST` shows them, and the gate that holds them: `CLIENT PAUSE … WRITE`.

The gate is the server's own, for all clients at once: what writes waits where it is, also in the middle of a
transaction, and the list shows it so. It opens by itself after `HOLD`, whatever becomes of whoever closed it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Refusal, text
from envctl.waiting import Deadline

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from envctl.services.redis.chaos.conversation import Conversation

HOLD = 1.0
"""Seconds until the gate opens by itself."""

LONG_HOLD = 15.0
"""The same while a victim stands in it and is being looked at."""

_BUSY = 0.05
"""Seconds for which the gate is looked at without a pause after somebody stood in it."""

_REST = 0.001
"""Seconds between two looks at a gate in which nobody stands."""


@dataclass(frozen=True, slots=True)
class Client:
    """One connection. `queued` is -1 outside of a transaction; `held`: it waits, in the gate or in a blocking read."""

    id: str
    address: str
    name: str
    user: str
    queued: int
    held: bool
    idle: int
    last: str
    unread: int

    @property
    def sent(self) -> int:
        """Commands of its transaction that reached the server: those queued, and the one that waits in the gate."""
        return self.queued + 1 if self.held else self.queued

    @property
    def whole(self) -> bool:
        """Whether all of it has reached the server: whoever waits for each answer sends nothing behind what waits."""
        return self.held and (self.unread > 0 or self.last == "exec")

    def __str__(self) -> str:
        return f"{self.name or 'a client without a name'} (user {self.user}, {self.address}, id {self.id})"


def listed(server: Conversation) -> list[Client]:
    """All connections."""
    return [_client(line) for line in text(server.ask("CLIENT", "LIST")).splitlines()]


def held(server: Conversation, seconds: float = HOLD) -> list[Client]:
    """Close the gate, or keep it closed, and see who is there: both in one moment."""
    paused, lines = server.ask_all([["CLIENT", "PAUSE", str(round(seconds * 1000)), "WRITE"], ["CLIENT", "LIST"]])
    if isinstance(paused, Refusal):
        raise paused
    return [_client(line) for line in text(lines).splitlines()]


def release(server: Conversation) -> None:
    """Open the gate; on return all who stood in it have gone on."""
    server.ask("CLIENT", "UNPAUSE")


def caught(server: Conversation, aim: Mapping[str, Any], own: str, stop: threading.Event) -> list[Client]:
    """Wait until a transaction that fits stands in the closed gate; all clients, that one first. None when stopped.

    Others pass through the gate: it opens for them, and closes behind them. Whoever comes in that moment, a fifth of a
    millisecond, passes too.
    """
    busy, clients = Deadline(0), held(server)
    while not stop.is_set():
        victims = [client for client in clients if fits(client, aim, own)]
        if victims:
            return [victims[0], *(client for client in clients if client.id != victims[0].id)]
        # Who has been waiting for longer waits in a blocking read: opening does not help it.
        if any(client.held and not client.idle for client in clients):
            release(server)
            busy = Deadline(_BUSY)
        elif busy.passed:
            stop.wait(_REST)
        clients = held(server)
    return []


def fits(client: Client, aim: Mapping[str, Any], own: str) -> bool:
    """Whether it is a transaction that is aimed at, as far as it has come."""
    return (
        client.queued >= 0
        and client.user != own
        and aim["application"] in ("", client.name)
        and aim["role"] in ("", client.user)
        and client.sent >= max(1, aim["after_statements"], aim["after_rows"])
    )


def opened(server: Conversation) -> None:
    """Open the gate where the server is still there to do so."""
    with suppress(NotReady):
        release(server)


def by_id(clients: Sequence[Client], one: Client) -> Client | None:
    """The same connection in a newer list."""
    return next((client for client in clients if client.id == one.id), None)


def _client(line: str) -> Client:
    found = dict(part.partition("=")[::2] for part in line.split(" "))
    return Client(
        id=found["id"],
        address=found["addr"],
        name=found.get("name", ""),
        user=found.get("user", ""),
        queued=int(found["multi"]),
        held="b" in found["flags"],
        idle=int(found["idle"]),
        last=found.get("cmd", ""),
        unread=int(found["qbuf"]),
    )

"""Holds requests of a protocol back for a time, in the network namespace in which it runs.

    python3 -c … begin NAME PROTOCOL PORT PID SECONDS DELAY EVERY EXEMPT MATCHING
    python3 -c … probe NAME
    python3 -c … state NAME
    python3 -c … end NAME

`begin` returns when the gate stands, a process that goes on by itself: what comes in at PORT (loopback excepted) goes
through a queue (NFQUEUE with bypass). Every packet that brings the EVERY-th request with MATCHING in it, whatever the
case of its letters (empty: all), stays with the kernel for DELAY seconds, and what follows it on the same connection
behind it; other connections are not kept. Several such requests in one packet take as many delays. Nothing is changed
and nothing lost. Connections that log in as EXEMPT meanwhile are left alone.
It ends after SECONDS, by SIGTERM, or when the server's process PID does, and lets everything go; when it is killed,
the kernel does. Its rule carries NAME as its comment. `end` is idempotent; each prints one line of JSON: whether it is
`alive`, how many `rules` are there, and the requests `seen` that fit, and `held`.

To add a protocol: a class like those in `requests.py`, and a line in its PROTOCOLS.
"""

from __future__ import annotations

import json
import os
import select
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import requests, rules, standing
from envctl.engine.gates.nfqueue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

_WHOLE = 0xFFFF
"""Bytes of a packet that are looked at: all."""
_LOOK, _WINDOW = 0.2, 1 << 32
_HALF = _WINDOW >> 1
_MOST = 4096
_GONE = 0x05
"""FIN or RST among the flags."""

Peer = tuple[bytes, int]


class Choice:
    """Which requests are meant: every n-th that has the text in it."""

    def __init__(self, matching: str, every: int) -> None:
        self._matching, self._every = matching.casefold(), every
        self.seen = self.held = 0

    def among(self, texts: list[str]) -> int:
        """How many of these."""
        chosen = 0
        for text in texts:
            if self._matching in text.casefold():
                self.seen += 1
                chosen += self.seen % self._every == 0
        self.held += chosen
        return chosen


class Flow:
    """One connection: where its next new byte is, what it said, and what of it waits, each with the time to go."""

    def __init__(self, parser: requests.Parser) -> None:
        self._parser = parser
        self._next: int | None = None
        self.waiting: list[tuple[float, int]] = []

    def new(self, sequence: int, data: bytes) -> list[str]:
        """The requests in what was not seen before: a client's kernel sends again what stays away for long."""
        ahead = 0 if self._next is None else (sequence - self._next) % _WINDOW
        if ahead >= _HALF:  # that is behind: some of it, or all, was here already
            data, ahead = data[_WINDOW - ahead :], 0
            if not data:
                return []
            sequence = self._next or 0
        if ahead:
            self._parser.lost()
        self._next = (sequence + len(data)) % _WINDOW
        return self._parser.requests(data)

    def hold(self, identity: int, now: float, seconds: float) -> None:
        """Keep a packet, behind those that are kept already."""
        after = self.waiting[-1][0] if self.waiting else now
        self.waiting.append((after + seconds, identity))


class Delay:
    """All connections, and what of them is held."""

    def __init__(self, queue: Any, protocol: str, exempt: str, choice: Choice, seconds: float) -> None:  # noqa: ANN401
        self._queue, self._protocol, self._exempt = queue, protocol, exempt
        self._choice, self._seconds = choice, seconds
        self._flows: dict[Peer, Flow] = {}

    def packet(self, identity: int, packet: bytes) -> None:
        """Let it pass, or keep it for a while."""
        ip = (packet[0] & 15) * 4
        (port,) = struct.unpack_from(">H", packet, ip)
        (sequence,) = struct.unpack_from(">I", packet, ip + 4)
        data, peer = packet[ip + (packet[ip + 12] >> 4) * 4 :], (packet[12:16], port)
        flow = self._flows.get(peer)
        if packet[ip + 13] & _GONE and (flow is None or not flow.waiting):
            self._flows.pop(peer, None)
        if not data:
            self._queue.accept(identity)
            return
        if flow is None:
            flow = self._flows[peer] = Flow(requests.PROTOCOLS[self._protocol](self._exempt))
        chosen = self._choice.among(flow.new(sequence, data))
        if chosen or flow.waiting:
            flow.hold(identity, time.monotonic(), chosen * self._seconds)
        else:
            self._queue.accept(identity)

    def let_go(self, now: float) -> float:
        """Let go what has waited long enough; seconds until the next is due."""
        due = now + _LOOK
        for flow in self._flows.values():
            while flow.waiting and flow.waiting[0][0] <= now:
                self._queue.accept(flow.waiting.pop(0)[1])
            if flow.waiting:
                due = min(due, flow.waiting[0][0])
        if len(self._flows) > _MOST:
            # Whoever left without a word.
            self._flows = {peer: flow for peer, flow in self._flows.items() if flow.waiting}
        return max(0.0, due - now)


def begin(name: str, pid: int, seconds: float, port: str, delay: Delay, queue: Queue, choice: Choice) -> None:
    """Put the gate up, and leave it to itself."""

    def stay(stands: Callable[[dict[str, Any]], None]) -> None:
        try:
            _note(name, choice, table=rules.has_table())
            rules.lead(name, "INPUT", ["-p", "tcp", "!", "-i", "lo", "--dport", port], queue.number)
            stands({"queue": queue.number})
            _watch(name, pid, time.monotonic() + seconds, delay, queue, choice)
        finally:
            rules.remove(name)
            delay.let_go(float("inf"))
            standing.forget(name)

    standing.leave(stay)


def _note(name: str, choice: Choice, **facts: object) -> None:
    standing.note(name, **{**standing.facts(name), "seen": choice.seen, "held": choice.held, **facts})


def _watch(name: str, pid: int, last: float, delay: Delay, queue: Queue, choice: Choice) -> None:
    poll, told = select.poll(), (0, 0)
    poll.register(queue.socket, select.POLLIN)
    pause = 0.0
    while time.monotonic() < last and os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
        if poll.poll(pause * 1000):
            for identity, _, packet in queue.packets():
                delay.packet(identity, packet)
        pause = delay.let_go(time.monotonic())
        if told != (choice.seen, choice.held):
            told = (choice.seen, choice.held)
            _note(name, choice)


def state(name: str) -> dict[str, Any]:
    """What there is of it."""
    facts = standing.facts(name)
    counted = {key: facts.get(key, 0) for key in ("seen", "held")}
    return {"alive": bool(standing.alive(name)), "rules": len(rules.named(name)), **counted}


def end(name: str) -> dict[str, Any]:
    """Take the gate down; what it had counted."""
    before = state(name)
    standing.stop(name)
    rules.remove(name)
    standing.forget(name)
    return {**before, **{key: value for key, value in state(name).items() if key in {"alive", "rules"}}}


def main(verb: str, name: str, *rest: str) -> None:
    """Do one of the four."""
    if verb == "begin":
        protocol, port, pid, seconds, delay, every, exempt, matching = rest
        queue, choice = Queue(_WHOLE), Choice(matching, int(every))
        delaying = Delay(queue, protocol, exempt, choice, float(delay))
        begin(name, int(pid), float(seconds), port, delaying, queue, choice)
        return
    if verb == "probe":
        # In a network namespace without a service.
        try:
            standing.note(name, table=rules.has_table())
            rules.lead(name, "INPUT", ["-p", "tcp", "--dport", "1"], Queue().number)
        finally:
            rules.remove(name)
            standing.forget(name)
    sys.stdout.write(json.dumps(end(name) if verb == "end" else state(name)))


if __name__ == "__main__":
    main(*sys.argv[1:])

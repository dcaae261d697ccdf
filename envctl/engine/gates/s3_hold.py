"""Holds S3 requests, or their answers, at the moment aimed at, in the network namespace in which it runs.

    python3 -c … watch CHAIN PORT SECONDS AIM
    python3 -c … probe CHAIN
    python3 -c … state CHAIN
    python3 -c … end CHAIN PID

`watch` leads the first segment of each PUT, POST and answer of PORT through a queue (NFQUEUE with bypass; loopback
excepted) and lets all pass but what AIM (JSON) means. What is held stays with the kernel: neither side gets it, and
nothing is changed. It talks over its streams, one JSON object a line, and ends when its input ends, so with whoever
started it, and after SECONDS; when it is killed, the kernel lets everything pass. CHAIN is its own, in the table `raw`.
`end` is idempotent; `probe` tries whether all that can be had.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, unquote

from envctl.engine.gates import standing
from envctl.engine.gates.nfqueue import Queue

_FIRST_WORDS = "0>>22&0x3C@12>>26&0x3C@0=0x50555420,0x504f5354,0x48545450"
"""The first four bytes behind the IP and TCP headers: `PUT `, `POST`, `HTTP`."""

_IN, _OK, _CONTINUE = 0, 200, 100
_LOOK = 0.2


def _iptables(*arguments: str) -> bool:
    """Whether it could be done."""
    return subprocess.run(["iptables", "-w", "-t", "raw", *arguments], capture_output=True, check=False).returncode == 0


def _jumps(chain: str, port: str) -> list[list[str]]:
    incoming = ["PREROUTING", "!", "-i", "lo", "-p", "tcp", "--dport", port, "-j", chain]
    return [incoming, ["OUTPUT", "!", "-o", "lo", "-p", "tcp", "--sport", port, "-j", chain]]


def request_of(text: str) -> dict[str, Any]:
    """What a request is, as far as uploads go: `part`, `complete`, or another with an empty kind."""
    line, _, headers = text.partition("\r\n")
    method, _, target = line.partition(" ")
    path, _, query = target.partition(" ")[0].partition("?")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    fields = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    credential = re.search(r"Credential=([^/%]+)(?:/|%2[Ff])", text)
    agent = re.search(r"(?im)^user-agent: *([^\r\n]*)", headers)
    found: dict[str, Any] = {"path": path, "bucket": bucket, "key": key, "upload": fields.get("uploadId", "")}
    found |= {"initiator": credential[1] if credential else "", "agent": agent[1] if agent else ""}
    part = fields.get("partNumber", "")
    found["number"] = int(part) if part.isdigit() else 0
    kinds = {"PUT": "part" if found["number"] else "", "POST": "complete"}
    return {**found, "kind": kinds.get(method, "") if found["upload"] else ""}


class Watch:
    """What is seen of each connection, and what of it is held."""

    def __init__(self, queue: Queue, chain: str, aim: dict[str, Any]) -> None:
        self._queue, self._chain, self._aim = queue, chain, aim
        self._requests: dict[tuple[str, int], dict[str, Any]] = {}
        self._stored: dict[str, set[int]] = {}
        self._clients: dict[str, str] = {}
        self._packets: list[int] = []
        self._held: dict[str, Any] | None = None
        self._answers = False
        self._answer_of: tuple[str, int] | None = None
        self.peer: tuple[str, int] | None = None

    def packet(self, identity: int, hook: int, packet: bytes) -> None:
        """Let it pass, or hold it."""
        header = (packet[0] & 15) * 4
        source, target = struct.unpack(">HH", packet[header : header + 4])
        text = packet[header + (packet[header + 12] >> 4) * 4 :].decode("latin-1")
        address = packet[12:16] if hook == _IN else packet[16:20]
        peer = (socket.inet_ntoa(address), source if hook == _IN else target)
        holds = self._request(peer, text) if hook == _IN else self._answer(peer, text)
        if holds:
            self._packets.append(identity)
        else:
            self._queue.accept(identity)

    def tell(self) -> None:
        """Say that an answer is going to go that was held."""
        if self._held is not None and self._held["kind"] == "complete" and self._answers:
            say(event="answered", status=_OK, **self._held)

    def release(self) -> None:
        """Let everything go on that is held."""
        for identity in self._packets:
            self._queue.accept(identity)
        self._packets, self._held, self.peer = [], None, None

    def release_request(self) -> None:
        """Let the held Complete go to the server, and hold the answer to it."""
        self._answer_of = self.peer
        self.release()

    def _request(self, peer: tuple[str, int], text: str) -> bool:
        request = request_of(text)
        again = peer == self.peer
        if request["path"] == f"/{self._chain}":
            say(event="seen")
        if self._held is not None:
            # While one is held nothing else of that upload happens: not the parts that its client sends beside it.
            return again or (bool(request["kind"]) and request["upload"] == self._held["upload"])
        if peer == self._answer_of:
            return False  # the Complete that was let go, once more
        self._requests[peer] = request
        if request["kind"]:
            self._clients[request["upload"]] = f"{request['initiator'] or 'anonymous'} ({request['agent'] or '-'})"
        stored = len(self._stored.get(request["upload"], ()))
        at, parts = self._aim["at"], self._aim["parts"]
        opens = at == "open" and not parts and request["kind"] == "part"
        completes = at != "open" and request["kind"] == "complete" and stored >= parts
        return (opens or completes) and self._fits(request) and self._hold(peer, request, "request")

    def _answer(self, peer: tuple[str, int], text: str) -> bool:
        request = self._requests.get(peer)
        status = int(text[9:12]) if text[9:12].isdigit() else 0
        if self._held is not None and peer == self.peer:
            return True
        if request is None or not request["kind"] or status == _CONTINUE:
            return False
        if request["kind"] == "part" and status == _OK:
            stored = self._stored.setdefault(request["upload"], set())
            stored.add(request["number"])
            reached = self._aim["at"] == "open" and 0 < self._aim["parts"] <= len(stored)
            return reached and self._held is None and self._fits(request) and self._hold(peer, request, "answer")
        if peer == self._answer_of:
            self._answer_of = None
            if status == _OK:
                return self._hold(peer, request, "answer")
        if request["kind"] == "complete":
            say(event="answered", status=status, **request)
        return False

    def _fits(self, request: dict[str, Any]) -> bool:
        aim = self._aim
        return (
            aim["bucket"] in {"", request["bucket"]}
            and request["key"].startswith(aim["prefix"])
            and aim["initiator"] in {"", request["initiator"]}
            and aim["agent"] in request["agent"]
        )

    def _hold(self, peer: tuple[str, int], request: dict[str, Any], what: str) -> bool:
        self.peer, self._held, self._answers = peer, request, what == "answer"
        say(
            event="held",
            what=what,
            clients=self._clients,
            stored=sorted(self._stored.get(request["upload"], ())),
            **request,
        )
        return True


def say(**words: object) -> None:
    """Tell whoever started this."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _obey(watch: Watch, order: dict[str, Any]) -> None:
    if order["do"] == "pass":
        watch.release_request()
    elif order["do"] == "release":
        watch.release()
    elif order["do"] == "end gracefully":
        os.kill(order["pid"], signal.SIGTERM)
        watch.tell()
        watch.release()
    elif order["do"] == "kill":
        # Stopped first, so that its client hears of the end while there is still a network to hear it through.
        os.kill(order["pid"], signal.SIGSTOP)
        if watch.peer:
            address, port = watch.peer
            subprocess.run(["ss", "-K", "dst", address, "dport", "=", f":{port}"], capture_output=True, check=False)
        os.kill(order["pid"], signal.SIGKILL)
        say(event="killed")


def _tables() -> str:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout


def _remove(chain: str) -> None:
    noted = standing.facts(chain)
    listed = subprocess.run(["iptables", "-w", "-t", "raw", "-S"], capture_output=True, text=True, check=False).stdout
    for rule in listed.splitlines():
        if rule.startswith("-A ") and rule.endswith(f" -j {chain}"):
            _iptables("-D", *rule.split()[1:])
    _iptables("-F", chain)
    _iptables("-X", chain)
    left = subprocess.run(["iptables", "-w", "-t", "raw", "-S"], capture_output=True, text=True, check=False).stdout
    if noted and not noted["raw"] and all(line.startswith("-P ") for line in left.splitlines()):
        # iptables made the table for us, and nobody else has put anything into it.
        subprocess.run(["nft", "delete", "table", "ip", "raw"], capture_output=True, check=False)
    standing.forget(chain)


def _insert(chain: str, port: str, queue: int) -> None:
    rule = ["-m", "u32", "--u32", _FIRST_WORDS, "-j", "NFQUEUE", "--queue-num", str(queue), "--queue-bypass"]
    orders = [["-N", chain], ["-A", chain, "-p", "tcp", *rule]]
    orders += [["-I", *jump] for jump in _jumps(chain, port)]
    if not all(_iptables(*order) for order in orders):
        raise OSError("iptables refuses a rule with u32 and NFQUEUE")


def watch(chain: str, port: str, seconds: int, aim: dict[str, Any]) -> None:
    """Stand in the way until the input ends."""
    queue = Queue()
    watching = Watch(queue, chain, aim)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        standing.note(chain, raw="table ip raw\n" in _tables())
        _insert(chain, port, queue.number)
        say(event="stands", queue=queue.number)
        _loop(queue, watching, time.monotonic() + seconds)
    finally:
        _remove(chain)


def _loop(queue: Queue, watching: Watch, last: float) -> None:
    poll, buffer = select.poll(), b""
    poll.register(queue.socket, select.POLLIN)
    poll.register(0, select.POLLIN)
    while time.monotonic() < last:
        for descriptor, _ in poll.poll(_LOOK * 1000):
            if descriptor:
                for packet in queue.packets():
                    watching.packet(*packet)
                continue
            data = os.read(0, 65536)
            if not data:
                watching.release()
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                _obey(watching, json.loads(line))


def end(chain: str, server: int) -> None:
    """Take the gate down, and let go on whom it had stopped."""
    standing.stop(chain)
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGCONT)
    _remove(chain)


def main(verb: str, chain: str, *rest: str) -> None:
    """Do one of the four."""
    if verb == "probe":
        # In a network namespace of its own, which goes with it.
        _insert(chain, "1", Queue().number)
        return
    if verb == "watch":
        port, seconds, aim = rest
        watch(chain, port, int(seconds), json.loads(aim))
        return
    if verb == "end":
        end(chain, int(rest[0]))
    say(chain=_iptables("-S", chain), alive=bool(standing.alive(chain)))


if __name__ == "__main__":
    main(*sys.argv[1:])

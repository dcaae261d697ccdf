"""Holds the requests of Kafka's transactional producers, in the network namespace in which it runs.

    python3 -c … watch NAME SECONDS WRITES APPLICATION
    python3 -c … probe NAME
    python3 -c … state NAME
    python3 -c … end NAME

`watch` leads the first segment of each EndTxn request, and where WRITES is 1 of each Produce request, through a queue
(NFQUEUE with bypass; loopback excepted), and tells of those that are a transaction's, and APPLICATION's where that is
not empty (transactional id or client id). Such a request stays with the kernel, unchanged, until it is told to let it
go, or to let it go and keep its answer. It talks over its streams, one JSON object a line, and ends when its input
ends, so with whoever started it, and after SECONDS; when it is killed, the kernel lets everything pass.
Its rules carry NAME as their comment. `end` removes them, and is idempotent; `probe` tries whether all can be had.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import Any

from envctl.engine.gates import standing
from envctl.engine.gates.nfqueue import Queue

_PRODUCE, _END = 0, 26
_FLEXIBLE = {_PRODUCE: 9, _END: 3}
"""The version from which on a request is in the compact form."""
_PAYLOAD = "0>>22&0x3C@12>>26&0x3C@"
_KIND = {_END: _PAYLOAD + "4=0x001A0000:0x001A000F", _PRODUCE: _PAYLOAD + "4=0x00000003:0x0000000F"}
"""Behind the IP and TCP headers and the request's length: its kind and its version."""

_IN = 1
_LOOK = 0.2

Flow = tuple[str, int, int]
"""The client's address and port, and the server's port."""


def request_of(data: bytes) -> dict[str, Any] | None:
    """A request's kind, client id and transactional id, and whether it asks for a commit; None for anything else."""
    try:
        size, kind, version, _, length = struct.unpack_from(">ihhih", data)
        at = 14 + max(length, 0)
        client = data[14:at].decode()
        if version >= _FLEXIBLE[kind]:
            at += 1  # no tags
            length, at = _varint(data, at)
            length -= 1
        else:
            length, at = struct.unpack_from(">h", data, at)[0], at + 2
        if length <= 0 or at + length > min(len(data), size + 4):
            return None
        transaction, at = data[at : at + length].decode(), at + length
        commits = kind == _END and struct.unpack_from(">qh?", data, at)[2]
    except (struct.error, UnicodeDecodeError, KeyError, IndexError):
        return None
    return {"kind": kind, "client": client, "transaction": transaction, "commits": commits}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 0x80:
            return value, at


class Watch:
    """What is held: requests, each with the packets that brought it (a client's kernel sends it again and again)."""

    def __init__(self, queue: Queue, name: str, application: str) -> None:
        self._queue, self._name, self._application = queue, name, application
        self._held: dict[tuple[Flow, int], list[int]] = {}
        self._passed: dict[Flow, int] = {}

    def packet(self, identity: int, hook: int, packet: bytes) -> None:
        """Let it pass, or hold it."""
        if hook != _IN:
            return  # an answer that is kept
        header = (packet[0] & 15) * 4
        source, target, sequence = struct.unpack(">HHI", packet[header : header + 8])
        request = request_of(packet[header + (packet[header + 12] >> 4) * 4 :])
        key = ((socket.inet_ntoa(packet[12:16]), source, target), sequence)
        if key in self._held:
            self._held[key].append(identity)
        elif request is None or not self._wanted(request) or self._passed.get(key[0]) == sequence:
            self._queue.accept(identity)
        else:
            self._held[key] = [identity]
            say(event="held", key=key, **request)

    def _wanted(self, request: dict[str, Any]) -> bool:
        named = self._application in {"", request["client"], request["transaction"]}
        return named and (request["commits"] or request["kind"] == _PRODUCE)

    def release(self, key: tuple[Flow, int] | None = None) -> None:
        """Let a request go on, or all."""
        for one in [key] if key else list(self._held):
            self._passed[one[0]] = one[1]
            for identity in self._held.pop(one, ()):
                self._queue.accept(identity)

    def keep_answers(self, flow: Flow) -> None:
        """From now on no answer reaches this client; the bare acknowledgements of its kernel's packets do."""
        address, port, server = flow
        rule = ["-p", "tcp", "-d", address, "--dport", str(port), "--sport", str(server), "--tcp-flags", "PSH", "PSH"]
        if not _iptables("-I", "OUTPUT", *rule, *_lead(self._name, self._queue.number)):
            raise OSError("iptables refused the rule against answers")

    def obey(self, order: dict[str, Any]) -> None:
        """Do what is asked, and say that it is done."""
        (address, port, server), sequence = order["key"]
        flow = (address, port, server)
        if order["do"] == "pass without answer":
            self.keep_answers(flow)
        self.release((flow, sequence))
        say(event="let go")


def say(**words: object) -> None:
    """Tell whoever started this."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _iptables(*arguments: str) -> bool:
    """Whether it could be done."""
    return subprocess.run(["iptables", "-w", *arguments], capture_output=True, check=False).returncode == 0


def _lead(name: str, queue: int) -> list[str]:
    target = ["-j", "NFQUEUE", "--queue-num", str(queue), "--queue-bypass"]
    return ["-m", "comment", "--comment", name, *target]


def _rules(name: str) -> list[list[str]]:
    """The rules with that name, each as its chain and what follows."""
    listed = subprocess.run(["iptables", "-w", "-S"], capture_output=True, text=True, check=False).stdout
    return [
        [word.strip('"') for word in line.split()[1:]]
        for line in listed.splitlines()
        if line.startswith("-A ") and name in line.split()
    ]


def _tables() -> str:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout


def _remove(name: str) -> None:
    """Take the rules away, and the table where iptables made it for them and nobody else has put anything into it."""
    noted = standing.facts(name)
    for chain, *rule in _rules(name):
        _iptables("-D", chain, *rule)
    listed = subprocess.run(["iptables", "-w", "-S"], capture_output=True, text=True, check=False).stdout
    if noted and not noted["table"] and all(line.startswith("-P ") for line in listed.splitlines()):
        subprocess.run(["nft", "delete", "table", "ip", "filter"], capture_output=True, check=False)
    standing.forget(name)


def watch(name: str, seconds: float, kinds: list[int], application: str) -> None:
    """Stand in the way until the input ends."""
    queue = Queue()
    watching = Watch(queue, name, application)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        standing.note(name, table="table ip filter\n" in _tables())
        for kind in kinds:
            condition = ["-p", "tcp", "!", "-i", "lo", "-m", "u32", "--u32", _KIND[kind]]
            if not _iptables("-I", "INPUT", *condition, *_lead(name, queue.number)):
                raise OSError("iptables refused the rules")
        say(event="stands", queue=queue.number)
        _loop(queue, watching, time.monotonic() + seconds)
    finally:
        _remove(name)
        watching.release()


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
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                watching.obey(json.loads(line))


def main(verb: str, name: str, *rest: str) -> None:
    """Do one of the four."""
    if verb == "watch":
        seconds, writes, application = rest
        watch(name, float(seconds), [_END, _PRODUCE] if writes == "1" else [_END], application)
        return
    if verb == "probe":
        watch(name, 0, [_END], "")
    if verb == "end":
        standing.stop(name)
        _remove(name)
    say(rules=len(_rules(name)))


if __name__ == "__main__":
    main(*sys.argv[1:])

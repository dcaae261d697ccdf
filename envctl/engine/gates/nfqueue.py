"""One NFQUEUE of the kernel, by its netlink messages (linux/netfilter/nfnetlink_queue.h).

When the program ends, however, the kernel drops what it still held, TCP sends it again, and a rule with
`--queue-bypass` lets it pass.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import Any

_NETFILTER, _QUEUE = 12, 3 << 8
_PACKET, _VERDICT, _CONFIG = _QUEUE | 0, _QUEUE | 1, _QUEUE | 2
_ACK, _REQUEST, _ERROR = 4, 1, 2
_HEADER, _FAMILY, _ATTRIBUTE = 16, 4, 4
_ACCEPT, _COPIED, _FAIL_OPEN_AND_GSO = 1, 2048, 0x5
_BIND, _PARAMETERS, _MASK, _FLAGS = 1, 2, 4, 5
_PACKET_HEADER, _VERDICT_HEADER, _PAYLOAD = 1, 2, 10
_NUMBERS = range(7300, 7400)


class Queue:
    """One NFQUEUE: packets in, of each the first `copied` bytes; verdicts out."""

    def __init__(self, copied: int = _COPIED) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        self.socket.bind((0, 0))
        self.number = next(number for number in _NUMBERS if self._bind(number))
        self._configure(_PARAMETERS, struct.pack(">IB", copied, 2))
        flags = struct.pack(">I", _FAIL_OPEN_AND_GSO)
        self._configure(_MASK, flags, _FLAGS, flags)

    def packets(self) -> list[tuple[int, int, bytes]]:
        """What has come: id, hook, and the packet from its IP header on."""
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            return []  # more came than was read: the kernel let it pass
        found = []
        while len(data) >= _HEADER:
            size, kind = struct.unpack("=IH", data[:6])
            if kind == _PACKET:
                attributes = _attributes(data[_HEADER + _FAMILY : size])
                identity, _, hook = struct.unpack(">IHB", attributes[_PACKET_HEADER][:7])
                found.append((identity, hook, attributes.get(_PAYLOAD, b"")))
            data = data[(size + 3) & ~3 :]
        return found

    def accept(self, identity: int) -> None:
        """Let a packet go on."""
        self.socket.send(self._message(_VERDICT, 0, _VERDICT_HEADER, struct.pack(">II", _ACCEPT, identity)))

    def _bind(self, number: int) -> bool:
        self.number = number
        with suppress(OSError):
            self._configure(_BIND, struct.pack(">BBH", 1, 0, socket.AF_INET))
            return True
        return False

    def _configure(self, *attributes: Any) -> None:  # noqa: ANN401 - numbers and contents in turn
        self.socket.send(self._message(_CONFIG, _ACK, *attributes))
        answer = self.socket.recv(4096)
        code = (
            struct.unpack("=i", answer[_HEADER : _HEADER + 4])[0]
            if struct.unpack("=H", answer[4:6])[0] == _ERROR
            else 0
        )
        if code:
            raise OSError(-code, os.strerror(-code))

    def _message(self, kind: int, flags: int, *attributes: Any) -> bytes:  # noqa: ANN401
        body = struct.pack(">BBH", socket.AF_UNSPEC, 0, self.number)
        for number, content in zip(attributes[::2], attributes[1::2], strict=True):
            body += struct.pack("=HH", _ATTRIBUTE + len(content), number) + content + bytes(-len(content) % 4)
        return struct.pack("=IHHII", _HEADER + len(body), kind, _REQUEST | flags, 0, 0) + body


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE:
        size, kind = struct.unpack("=HH", data[:4])
        found[kind & 0x7FFF] = data[_ATTRIBUTE:size]
        data = data[(size + 3) & ~3 :]
    return found

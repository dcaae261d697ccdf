"""Holds sessions of a PostgreSQL until it takes no more, in the network namespace in which it runs.

    python3 -c … begin NAME PORT PID SECONDS KEEP USER
    python3 -c … state NAME
    python3 -c … end NAME

As `redis_crowd` does with Redis. The sessions are USER's, in the database `postgres`, and named NAME; they log in by
loopback, where the server must trust (it does in the image).
"""

from __future__ import annotations

import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from envctl.engine.gates import redis_crowd

if TYPE_CHECKING:
    import socket

_PROTOCOL = 3 << 16
_TOO_MANY, _READY = b"C53300\0", b"Z\0\0\0\5I"
_FREE = b"""
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
  - coalesce(current_setting('reserved_connections', true)::int, 0) - (SELECT sum(numbackends) FROM pg_stat_database)
"""


class Crowd(redis_crowd.Crowd):
    """Sessions that are idle."""

    name, user, keep = "", "", 0

    def settle(self, seconds: float) -> int:
        """As the other's; besides, how many more became free than are to be kept: whoever was there hung up."""
        gone = super().settle(seconds)
        return max(gone, self._free() - self.keep) if self.keep else gone

    def _free(self) -> int:
        """How many could log in, by what one of those here is told; 0 where it is not told."""
        if not self._held:
            return 0
        one = next(iter(self._held.values()))
        one.settimeout(1.0)
        with suppress(OSError, ValueError, struct.error):
            one.sendall(b"Q" + struct.pack(">i", len(_FREE) + 5) + _FREE + b"\0")
            said = b""
            while not said.endswith(_READY):
                if not (more := one.recv(4096)):
                    return 0
                said += more
            while said[:1] != b"D":
                said = said[1 + struct.unpack(">i", said[1:5])[0] :]
            # One row of one column: behind kind and length are their number and its own length.
            return int(said[11 : 1 + struct.unpack(">i", said[1:5])[0]])
        return 0

    def taken(self, one: socket.socket) -> bool:
        """Whether it was logged in.

        Raises:
            OSError: it was refused for another reason than that there are too many.

        """
        # The server's own limit of idleness must not empty the room.
        options = ["user", self.user, "database", "postgres", "application_name", self.name]
        body = (
            struct.pack(">i", _PROTOCOL)
            + "\0".join([*options, "options", "-c idle_session_timeout=0", "", ""]).encode()
        )
        one.sendall(struct.pack(">i", len(body) + 4) + body)
        said = b""
        while not said.endswith(_READY):
            more = one.recv(4096)
            said += more
            if said[:1] == b"E" and (_TOO_MANY in said or not more):
                if _TOO_MANY in said:
                    return False
                raise OSError("it was refused: " + said.replace(b"\0", b" ").decode(errors="replace"))
            if said[:1] == b"R" and said[5:9] != bytes(4):
                raise OSError("it wants a password by loopback")
            if not more:
                return False
        return True


def main(verb: str, name: str, *rest: str) -> None:
    """Do one of the three."""
    Crowd.name = name
    if verb == "begin":
        *numbers, Crowd.user = rest
        Crowd.keep, rest = int(numbers[-1]), tuple(numbers)
    redis_crowd.main(verb, name, *rest, kind=Crowd)


if __name__ == "__main__":
    main(*sys.argv[1:])

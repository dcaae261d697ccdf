"""What other clients wrote after a restart, before anybody could look: read from the end of the append-only file."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from envctl.services.redis.chaos.conversation import text
from envctl.services.redis.chaos.picture import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.services.redis.chaos.conversation import Conversation
    from envctl.services.redis.chaos.picture import Key
    from envctl.site import Site

_LARGEST = 8 << 20
"""Bytes that are read at most."""


def written(site: Site, server: Conversation, size: int) -> set[Key] | None:
    """The keys that were written since the file had `size` bytes; None where that cannot be told.

    The gate must be closed: what is written while this reads would be missed.
    """
    lines = text(server.ask("INFO", "persistence")).splitlines()
    now = dict(line.partition(":")[::2] for line in lines)
    if now["aof_enabled"] != "1":
        return None
    more = int(now["aof_current_size"]) - size
    if more <= 0:
        return set()
    if more > _LARGEST:
        return None
    folder = "/".join(text(server.ask("CONFIG", "GET", name)[1]) for name in ("dir", "appenddirname"))
    root = f"/proc/{site.hands.pid(site.container.id)}/root"
    script = f'tail -qc {more} "$(ls -t {root}{folder}/*.incr.aof | head -1)" | base64 -w0'
    done = site.hands.operate(site.environment, ["sh", "-c", script])
    if done.exit_code:
        return None
    found: set[Key] = set()
    database = 0
    for command in commands(base64.b64decode(done.output)):
        if command[0].upper() == b"SELECT":
            database = int(command[1])
        else:
            found.update(keys_of(server, database, [command]))
    return found


def commands(raw: bytes) -> Iterator[list[bytes]]:
    """The commands of an append-only file; annotations, and one that is cut off, are left out."""
    stream = io.BytesIO(raw)
    while line := stream.readline():
        if not line.startswith(b"*"):
            continue
        command = []
        for _ in range(int(line[1:])):
            size = int(stream.readline()[1:] or b"0")
            command.append(stream.read(size))
            stream.readline()
        if command and stream.tell() <= len(raw):
            yield command

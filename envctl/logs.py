"""Many logs as one."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from envctl.model import Container, LogLine
    from envctl.protocols import Engine


def merged(engine: Engine, containers: Sequence[Container], tail: int | None, since: float | None) -> list[LogLine]:
    """All lines until now in the order of the engine's clock; `tail` counts for each service."""
    lines = [line for container in containers for line in engine.logs(container, tail=tail, since=since)]
    return sorted(lines, key=lambda line: line.at)


def following(
    engine: Engine, containers: Sequence[Container], tail: int | None, since: float | None
) -> Iterator[LogLine]:
    """As `merged`, then every new line as it comes, until every container has ended."""
    lines: queue.SimpleQueue[LogLine | Exception | None] = queue.SimpleQueue()

    def pump(container: Container) -> None:
        try:
            for line in engine.follow(container, tail=tail, since=since):
                lines.put(line)
            lines.put(None)
        except Exception as error:  # noqa: BLE001 - handed to the reader, who raises it
            lines.put(error)

    for container in containers:
        threading.Thread(target=pump, args=(container,), name=f"logs-{container.service}", daemon=True).start()
    open_streams = len(containers)
    while open_streams:
        line = lines.get()
        if isinstance(line, Exception):
            raise line
        if line is None:
            open_streams -= 1
        else:
            yield line

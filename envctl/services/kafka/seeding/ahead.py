"""Making, or fetching, the next piece while the last one is worked on."""

from __future__ import annotations

import contextvars
import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """The same items, made by a thread of their own: one is ready and one is being made while the caller is busy.

    What making one raises is raised here. Closing the iteration ends the thread.
    """
    ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(1)
    ended = threading.Event()

    def make() -> None:
        try:
            for item in items:
                ready.put((item,))
                if ended.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised where the items are taken
            ready.put(error)
        else:
            ready.put(None)

    maker = threading.Thread(target=contextvars.copy_context().run, args=(make,), name="kafka-ahead", daemon=True)
    maker.start()
    try:
        while (found := ready.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found[0]
    finally:
        ended.set()
        while maker.is_alive():
            try:
                ready.get(timeout=0.05)
            except queue.Empty:
                continue

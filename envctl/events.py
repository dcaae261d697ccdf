"""Events: the only thing the library says while it works. The CLI and other listeners render them."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Listener = Callable[[str, dict[str, object]], None]

# A context variable and not a list of the module: two environments in two threads or tasks do not hear each other.
_listener: ContextVar[Listener | None] = ContextVar("envctl_listener", default=None)


def emit(event: str, **data: object) -> None:
    """Say that something happened: `noun.verb_past`, with its data. Never pass a secret.

    With a listener (the CLI's) it goes there; without one to structlog's logger `envctl`, which the host program
    configures as it likes.
    """
    listener = _listener.get()
    if listener is not None:
        listener(event, data)
        return
    # structlog costs 130 ms to import: a CLI process, which always listens, never pays for it.
    import structlog

    structlog.get_logger("envctl").info(event, **data)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every event of this context to `listener`, called as `listener(event, data)`, also from worker threads
    that were started with a copy of the context.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def now() -> str:
    """ISO-8601 UTC with milliseconds, the form of every `at` in envctl's output."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Events: the only thing the library says while it works. The CLI and other listeners render them."""

from __future__ import annotations

import datetime as dt
import sys
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

    With a listener (the CLI's) it goes there. Without one it goes to structlog's logger `envctl`, where the host
    program has configured structlog; where it has not, nowhere: a library does not print.
    """
    listener = _listener.get()
    if listener is not None:
        listener(event, data)
        return
    # Looked up and not imported: a host that never loaded structlog has not configured it, and it costs 130 ms.
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
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

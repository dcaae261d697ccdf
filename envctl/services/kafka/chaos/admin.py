"""Connections as envctl, the super user: no right that a test or a fault takes away is envctl's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from envctl.services.kafka.sasl import login_plain
from envctl.services.kafka.wire import Connection
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.site import Site

TIMEOUT = 5.0


@contextmanager
def admin(site: Site, timeout: float = TIMEOUT) -> Iterator[Connection]:
    """A connection as envctl; everything on it takes at most `timeout` seconds.

    Raises:
        NotReady: the broker does not answer.

    """
    with Connection(site.at.host, site.at.ports["sasl"], timeout) as connection:
        login_plain(connection, admin_of(site.at))
        yield connection

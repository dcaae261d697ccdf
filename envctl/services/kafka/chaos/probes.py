"""What a user may do, tried on connections of its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from envctl.services.kafka import requests
from envctl.services.kafka.chaos.coordinator import may_transact
from envctl.services.kafka.sasl import login_scram
from envctl.services.kafka.wire import Connection
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from envctl.model import Endpoint

ANONYMOUS = "ANONYMOUS"
_NOTHING = "envctl-no-such-name"
"""Asked for so that nobody's is touched; a broker refuses a name before it looks whether it is there."""


class Doors:
    """A user's connections, one by each listener that lets it in: of the tests' own identity both (who is not logged
    in is the tests' too), of whoever is not logged in the plaintext one, of others none, as their secrets are theirs.
    """

    def __init__(self, at: Endpoint, user: str, timeout: float) -> None:
        self._open: dict[str, Connection] = {}
        tests = user == app_of(at).username
        with ExitStack() as unless_in:
            unless_in.callback(self.close)
            if tests:
                self._open["sasl"] = Connection(at.host, at.ports["sasl"], timeout)
                login_scram(self._open["sasl"], app_of(at))
            if tests or user == ANONYMOUS:
                self._open["plaintext"] = Connection(at.host, at.port, timeout)
            unless_in.pop_all()

    def may(self) -> dict[str, bool]:
        """Whether each may see topics, groups and transactions."""
        found: dict[str, bool] = {}
        for listener, connection in self._open.items():
            found[f"{listener} topics"] = requests.may_read(connection, _NOTHING)
            found[f"{listener} groups"] = requests.may_join(connection, _NOTHING)
            found[f"{listener} transactions"] = may_transact(connection, _NOTHING)
        return found

    def close(self) -> None:
        """Close them."""
        for connection in self._open.values():
            connection.close()

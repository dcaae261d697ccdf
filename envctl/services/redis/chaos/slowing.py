"""A command by which is seen whether commands are slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.redis.chaos.conversation import Conversation
from envctl.services.redis.chaos.probes import identity
from envctl.services.slow_requests import timed

if TYPE_CHECKING:
    from envctl.site import Site


def ask(site: Site, text: str, timeout: float) -> float:
    """Seconds that a command with that text in it takes, as the tests' own identity.

    Raises:
        NotReady: longer than `timeout`, or it was refused.

    """
    # Logging in may be slow, too: what is meant is one command.
    with Conversation(site.at, identity(site), 3 * timeout) as one:
        return timed(lambda: one.ask("ECHO", text))

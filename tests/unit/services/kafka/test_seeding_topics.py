"""Waiting for a broker that is still at work: as long as it answers, and no longer."""

from __future__ import annotations

import pytest

from envctl.protocols import NotReady
from envctl.services.kafka.seeding.topics import UNSETTLED, settled
from envctl.services.kafka.wire import Failed


@pytest.mark.parametrize("code", sorted(UNSETTLED))
def test_a_broker_that_is_still_at_work_is_asked_again(code: int) -> None:
    """Until it has settled."""
    answers = iter([Failed("topic", code), Failed("topic", code), None])

    def ask() -> str:
        if answer := next(answers):
            raise answer
        return "done"

    assert settled(ask, "asked") == "done"


@pytest.mark.parametrize("reason", [NotReady("the connection was closed"), Failed("topic", 17)])
def test_what_is_no_matter_of_time_is_said_at_once(reason: NotReady) -> None:
    """A broker that has died says nothing more on this connection."""
    asked = []

    def ask() -> None:
        asked.append(reason)
        raise reason

    with pytest.raises(NotReady) as caught:
        settled(ask, "asked")
    assert (caught.value, asked) == (reason, [reason])

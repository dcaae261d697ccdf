"""What a fault is told of the server that it is to hurt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from envctl.model import State
from envctl.protocols import NotReady
from envctl.site import Site
from tests.unit.fake_engine import container


@pytest.mark.parametrize(
    ("state", "told"),
    [(State.PAUSED, "its container is paused"), (State.EXITED, "its container is exited (exit code 3)")],
)
def test_an_exit_code_is_told_of_what_has_ended_alone(state: State, told: str) -> None:
    """A paused server has none, and least of all 0."""
    there = container("redis", state, exit_code=3 if state is State.EXITED else 0)
    nothing = cast("Any", None)
    engine = cast("Any", SimpleNamespace(container=lambda _: there))
    site = Site("shop", nothing, nothing, engine, nothing, there)
    with pytest.raises(NotReady) as caught:
        site.running()
    assert str(caught.value) == told

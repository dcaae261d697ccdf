"""`env.chaos` to whoever types it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.chaos.calls import Chaos
from envctl.errors import UnknownName, UsageError
from envctl.faults.pause import Pause

if TYPE_CHECKING:
    from tests.unit.chaos.toys import ToyWard


def test_a_prompt_completes_the_faults(ward: ToyWard) -> None:
    """They are methods as any other."""
    assert {"pause", "kill_mid_transaction", "heal"} <= set(dir(Chaos(ward)))


def test_a_call_without_a_service_is_told_by_its_name(ward: ToyWard) -> None:
    """Not by that of a function within."""
    with pytest.raises(TypeError, match=r"Chaos\.pause\(\) missing 1 required positional argument: 'service'"):
        Chaos(ward).pause()  # type: ignore[call-arg] - what is tested


def test_a_service_that_is_no_text_is_told_as_any_wrong_name(ward: ToyWard) -> None:
    """With those that there are."""
    with pytest.raises(UnknownName, match="is named 5"):
        Chaos(ward).call("scribble", 5, {})  # type: ignore[arg-type] - what is tested


@pytest.mark.parametrize("what", ["pause", Pause])
def test_a_fault_is_one_of_the_catalog_s_classes_made(ward: ToyWard, what: object) -> None:
    """Its name goes as a method, its class is no fault yet."""
    with pytest.raises(UsageError, match="a service and then a fault"):
        Chaos(ward).inject("redis", what)  # type: ignore[arg-type] - what is tested

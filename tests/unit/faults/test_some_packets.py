"""Shares of packets: how many are sent to measure one, what chance allows, and what each back end is told."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from envctl.faults.network.corrupt import Corrupt
from envctl.faults.network.duplicate import Duplicate
from envctl.faults.network.loss import Loss
from envctl.faults.network.netem import leaf
from envctl.faults.network.reorder import Reorder
from envctl.protocols import NotReady
from envctl.site import Dice, Site

if TYPE_CHECKING:
    from envctl.faults.network.shares import SomePackets

FAULTS = [Loss, Duplicate, Corrupt, Reorder]
NOWHERE = Site(*[None] * 6, dice=Dice(7))  # type: ignore[arg-type]
"""All that is asked of it is chance."""


def measured(lost: int, sent: int = 100) -> dict[str, Any]:
    """What a probe says."""
    return {"sent": sent, "received": sent - lost, "twice": 0, "late": 0, "broken": 0}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_is_the_same_wish_to_both_back_ends(fault: type[SomePackets]) -> None:
    """The seed's too."""
    program = fault(percent=2.5).how("nfqueue", NOWHERE)["packets"]
    assert program[fault.setting] == 25_000
    assert fault(percent=2.5).how("netem", NOWHERE)["leaf"] == leaf(program)
    assert str(program["seed"]) in leaf(program)


def test_a_bit_that_nobody_finds_is_turned_by_the_program_alone() -> None:
    """Nor is netem taken where nobody said so."""
    assert Corrupt().wanted_backends == ["nfqueue", "netem"]
    assert Corrupt(undetected=True).wanted_backends == ["nfqueue"]


@pytest.mark.parametrize(("percent", "count"), [(100, 100), (10, 150), (1, 1500), (0.1, 1500)])
def test_as_many_are_sent_as_it_takes_for_some_to_be_hit(percent: float, count: int) -> None:
    """But no more than take half a second."""
    assert Loss(percent=percent).sample()["count"] == count


@pytest.mark.parametrize("lost", [10, 5, 20])
def test_a_share_may_miss_what_was_asked_for_as_chance_does(lost: int) -> None:
    """3 is the standard deviation of 10 of 100."""
    Loss(percent=10).judge("in", measured(0), measured(lost))


@pytest.mark.parametrize(("lost", "before"), [(0, 0), (30, 0), (10, 60), (99, 0)])
def test_other_shares_are_none_that_was_asked_for(lost: int, before: int) -> None:
    """Nor is one that was there before."""
    with pytest.raises(NotReady, match=f"in: {lost} of 100 packets"):
        Loss(percent=10).judge("in", measured(before), measured(lost))


def test_what_another_fault_loses_already_is_reckoned_with() -> None:
    """Half of them, and half of the rest."""
    Loss(percent=50).judge("in", measured(50), measured(75))
    with pytest.raises(NotReady):
        Loss(percent=50).judge("in", measured(50), measured(50))


def test_all_are_all() -> None:
    """Nothing is left to chance at 100 %."""
    Loss(percent=100).judge("in", measured(0), measured(100))
    with pytest.raises(NotReady):
        Loss(percent=100).judge("in", measured(0), measured(90))


def test_losses_in_rows_vary_more() -> None:
    """None of 100 would be too few, 40 of them too many, were each lost by itself."""
    Loss(percent=10, correlation=80).judge("in", measured(0), measured(40))


@pytest.mark.parametrize("fault", FAULTS)
def test_its_own_share_comes_first_among_its_options(fault: type[SomePackets]) -> None:
    """And says of what it is one."""
    assert "percent" in fault.__annotations__
    assert {field.name for field in dataclasses.fields(fault)} >= {"percent", "peer", "port", "direction", "backend"}

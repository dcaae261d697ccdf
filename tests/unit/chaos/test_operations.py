"""Clients' operations in the history of faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.chaos.calls import Chaos
from envctl.chaos.injecting import Wish, inject
from tests.unit.chaos.toys import Scribble

if TYPE_CHECKING:
    from envctl.chaos.operations import Operation
    from tests.unit.chaos.toys import ToyWard


def test_faults_and_operations_are_one_history(ward: ToyWard) -> None:
    """In the order in which they happened."""
    chaos = Chaos(ward)
    with chaos.operation("read"), inject(ward, Scribble(), "redis", Wish()):
        pass
    assert [line["event"] for line in chaos.history()] == [
        "operation.invoke",
        "fault.planned",
        "fault.applied",
        "fault.injected",
        "fault.healing",
        "fault.healed",
        "operation.ok",
    ]


def test_an_operation_that_raises_is_in_doubt_unless_it_is_known_to_have_failed(ward: ToyWard) -> None:
    """As Jepsen calls them: ok, fail, info; the error goes on to whoever called."""
    chaos = Chaos(ward)
    with inject(ward, Scribble(), "redis", Wish()):
        with pytest.raises(ConnectionError), chaos.operation("transfer", token=1):
            raise ConnectionError("gone")
        with pytest.raises(PermissionError), chaos.operation("transfer", token=2) as refused:
            _refuse(refused)
        with chaos.operation("transfer", token=3) as read:
            read.note(balance=5)
    ends = [line for line in chaos.history() if line["event"] in {f"operation.{end}" for end in ("ok", "fail", "info")}]
    assert [(line["token"], line["event"]) for line in ends] == [
        (1, "operation.info"),
        (2, "operation.fail"),
        (3, "operation.ok"),
    ]
    assert ends[0]["error"] == "ConnectionError: gone"
    assert (ends[1]["code"], ends[2]["balance"]) == ("42501", 5)
    begun = [line["number"] for line in chaos.history() if line["event"] == "operation.invoke"]
    assert begun == [line["number"] for line in ends]


def test_an_operation_before_the_first_fault_is_told_too(ward: ToyWard) -> None:
    """Nobody has made the folder yet."""
    with Chaos(ward).operation("early"):
        pass
    assert [line["event"] for line in Chaos(ward).history()] == ["operation.invoke", "operation.ok"]


def _refuse(operation: Operation) -> None:
    operation.fail(code="42501")
    raise PermissionError

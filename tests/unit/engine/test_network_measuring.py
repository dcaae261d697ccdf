"""What counts as measured before a fault of the network: not a moment in which the machine stood still."""

from __future__ import annotations

from typing import Any

import pytest

from envctl.engine.operations import network

SHARE = {"address": "10.0.0.1", "port": None, "tries": 3}
OTHER = {"address": "10.0.0.1", "port": None}


def told(lost: int) -> dict[str, Any]:
    """What a probe says."""
    return {"sent": 100, "received": 100 - lost, "twice": 0, "late": 0, "broken": 0}


@pytest.mark.parametrize(
    ("lost", "counts", "asked"),
    [
        ([0], 0, 1),
        ([60, 0], 0, 2),
        ([60, 1, 0], 0, 3),
        ([48, 99, 52], 52, 3),  # another fault loses half of them, and once the machine stood still, too
    ],
)
def test_a_share_is_measured_again_where_packets_fared_ill(
    monkeypatch: pytest.MonkeyPatch, lost: list[int], counts: int, asked: int
) -> None:
    """Until none did; else the middle one counts."""
    seen: list[int] = []

    def measured(probe: dict[str, Any]) -> dict[str, Any]:
        del probe
        seen.append(lost[len(seen)])
        return told(seen[-1])

    monkeypatch.setattr(network, "_measured", measured)
    assert network._measured_calmly([SHARE]) == [told(counts)]
    assert len(seen) == asked


def test_what_does_not_say_so_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is: also what is no share, and what could not be measured."""
    monkeypatch.setattr(network, "_measured", lambda _: told(60))
    assert network._measured_calmly([OTHER]) == [told(60)]
    assert network._measured_calmly([]) == []
    monkeypatch.setattr(network, "_measured", lambda _: {"problem": "no route to host"})
    assert network._measured_calmly([SHARE]) == [{"problem": "no route to host"}]


def test_each_direction_counts_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may be well when the other is not."""
    rounds = {"in": [0, 60], "out": [60, 0]}
    monkeypatch.setattr(network, "_measured", lambda probe: told(rounds[probe["way"]].pop(0)))
    assert network._measured_calmly([{**SHARE, "way": "in"}, {**SHARE, "way": "out"}]) == [told(0), told(0)]

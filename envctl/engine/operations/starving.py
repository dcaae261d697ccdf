"""How little of a processor a group gets."""

from __future__ import annotations

import os
import time
from typing import Any

from envctl.engine.operations import cgroups


def measure(group: dict[str, Any], seconds: float, throttlings: int) -> dict[str, Any]:
    """Work under the group's limits until the kernel held the group back so often, or the seconds are over: how long
    that took by the clock and by the processor, both in ms, and how often it was held back.

    The work's own processor time is less than the group's share where the group itself works too.
    """
    before = cgroups.table(group, "cpu.stat")["nr_throttled"]
    home = cgroups.find(os.getpid(), "cpu")
    cgroups.join(group)
    clock, worked = time.monotonic(), time.process_time()
    while time.monotonic() - clock < seconds and _throttled(group) - before < throttlings:
        _work()
    took, work = time.monotonic() - clock, time.process_time() - worked
    cgroups.join(home)
    return {"ms": round(took * 1000), "cpu_ms": round(work * 1000), "throttled": _throttled(group) - before}


def _throttled(group: dict[str, Any]) -> int:
    return cgroups.table(group, "cpu.stat")["nr_throttled"]


def _work() -> int:
    return sum(range(20_000))

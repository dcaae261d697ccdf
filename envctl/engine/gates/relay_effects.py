"""What the relay does to connections: orders, each with a token and an end of its own, and what they make of bytes.

An order: `token`, `service`, `ports` (the service's own; none: all of them), `seconds` after which it ends by itself,
and the effects, each there or not: `latency` (`ways`, `delay` and `jitter` in seconds, `distribution`, `correlation` in
percent, `seed`), `throttle` (`ways`, `rate` in bytes a second, `burst` and `waiting` in bytes), `cut`, `refuse`,
`black-hole` (`connections`: `all`, `new`).
"""

from __future__ import annotations

import random
import time
from typing import Any

_SLICE = 0.005
"""Seconds of the rate that are worth a wake-up."""
_LATE = 0.25
"""Seconds of the rate that are made up for when this program had to wait for a processor."""


class Bucket:
    """Tokens for bytes, shared by all that go one way."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst, self._tokens, self._at = rate, burst, burst, time.monotonic()
        self._slice = max(1.0, min(burst, rate * _SLICE))
        self._awaited, self.passed = False, 0

    def allows(self, wanted: int, now: float) -> tuple[int, float]:
        """How many of the wanted bytes may pass now; if none, after how many seconds to ask again."""
        most = max(self._burst, self._rate * _LATE) if self._awaited else self._burst
        self._tokens, self._at = min(most, self._tokens + (now - self._at) * self._rate), now
        needed = min(wanted, self._slice)
        self._awaited = self._tokens < needed
        return (0, (needed - self._tokens) / self._rate) if self._awaited else (min(wanted, int(self._tokens)), 0)

    def take(self, count: int) -> None:
        """They passed."""
        self._tokens -= count
        self.passed += count


class Jitter:
    """How much later each piece comes."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._delay, self._jitter = wanted["delay"], wanted.get("jitter", 0)
        self._spread, self._follows = wanted.get("distribution", "uniform"), wanted.get("correlation", 0) / 100
        self._dice, self._last = random.Random(wanted["seed"]), 0.0  # noqa: S311 - to be repeated, not to be secret

    def draw(self) -> float:
        """Seconds, never less than none."""
        if not self._jitter:
            return float(self._delay)
        self._last = self._follows * self._last + (1 - self._follows) * self._fresh()
        return max(0.0, float(self._delay + self._jitter * self._last))

    def _fresh(self) -> float:
        pareto = min(5.0, self._dice.paretovariate(3) - 1.5)
        drawn = {"uniform": self._dice.uniform(-1, 1), "normal": self._dice.gauss(0, 1), "pareto": pareto}
        return drawn[self._spread] if self._spread in drawn else (3 * drawn["normal"] + pareto) / 4


class Order:
    """One that is in force; `after` is how many connections there had been when it came."""

    def __init__(self, told: dict[str, Any], after: int) -> None:
        self.token, self._service, self._ports = told["token"], told["service"], {*told["ports"]}
        self.until, self.after = time.monotonic() + told["seconds"], after
        self.cuts, self.refuses = "cut" in told, "refuse" in told
        hole = told.get("black-hole", {})
        self.swallows, self._swallows_new = bool(hole), hole.get("connections") == "new"
        later, less = told.get("latency"), told.get("throttle")
        self.jitters = {way: Jitter(later) for way in later["ways"]} if later else {}
        self.buckets = {way: Bucket(less["rate"], less["burst"]) for way in less["ways"]} if less else {}
        self.waiting = less["waiting"] if less else 0

    def covers(self, service: str, port: int) -> bool:
        """Whether it means what goes to this port of this service."""
        return service == self._service and (not self._ports or port in self._ports)

    def swallow(self, number: int) -> bool:
        """Whether nothing of the connection with that number passes."""
        return self.swallows and (not self._swallows_new or number > self.after)

"""Faults of the network of one container, put in force by one of several back ends, and measured on the way.

A `wire` is what is touched: `token`, `pid` (of the container's main process), `seconds` until it ends by itself,
`directions` (`in`, `out`), `ports` (none: all), `v4` and `v6` (the peers' addresses; None: all of them), and `how`,
which its back end alone understands. A `probe` is how it is measured (see `probing` and `knocking`).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from threading import Thread
from typing import Any

from envctl.engine.operations import cutting, dropping, knocking, namespaces, probing, queueing, shaping

_BACKENDS: dict[str, Any] = {"nfqueue": queueing, "nft": dropping, "tc": shaping, "netem": shaping, "ss": cutting}


def begin(backend: str, wire: dict[str, Any], probes: list[dict[str, Any]]) -> dict[str, Any]:
    """Put it in force; what was measured `before` and `after`, and what the back end says of itself. Nothing is touched
    where somebody else's leave no room; then that is told as `foreign`. Asked for twice, it is measured again.
    """
    with namespaces.of(wire["pid"]):
        if (before := _before(wire)) and _BACKENDS[backend].left(wire):
            return {"before": before, **measure(backend, wire, probes)}
        if reason := _BACKENDS[backend].foreign(wire):
            return {"foreign": reason}
    before = _measured_calmly(probes)
    with open(_mark(wire), "w") as stream:  # noqa: PTH123
        json.dump(before, stream)
    with namespaces.of(wire["pid"]):
        said = _BACKENDS[backend].begin(wire)
    return {"before": before, "after": _measure(_heard(probes, before)), "said": said}


def measure(backend: str, wire: dict[str, Any], probes: list[dict[str, Any]]) -> dict[str, Any]:
    """Measure again, while it is in force."""
    after = _measure(_heard(probes, _before(wire)))
    with namespaces.of(wire["pid"]):
        return {"after": after, "said": _BACKENDS[backend].state(wire)}


def end(backend: str, wire: dict[str, Any], probes: list[dict[str, Any]]) -> dict[str, Any]:
    """End it, also where it had not begun or only half of it is there; what is `left`, whether it had `begun` when this
    was first asked for and had `lasted` until then, and what is measured afterwards.
    """
    begun = os.path.exists(_mark(wire))  # noqa: PTH110
    with namespaces.of(wire["pid"]):
        lasted = _BACKENDS[backend].end(wire)
        left = _BACKENDS[backend].left(wire)
    with suppress(FileNotFoundError):
        os.unlink(_mark(wire))  # noqa: PTH108
    return {"begun": begun, "lasted": lasted, "left": left, "after": _measure(probes)}


def _measure(probes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All at once, but for those that take the same port."""
    found: dict[int, dict[str, Any] | Exception] = {}

    def look(places: list[int]) -> None:
        for place in places:
            try:
                found[place] = _measured(probes[place])
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                found[place] = error

    rows: dict[object, list[int]] = {}
    for place, probe in enumerate(probes):
        rows.setdefault(":" in probe["address"] if probe.get("port") else f"{place}", []).append(place)
    threads = [Thread(target=look, args=(places,)) for places in rows.values()]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    told = []
    for place in range(len(probes)):
        if isinstance(seen := found[place], Exception):
            raise seen
        told.append(seen)
    return told


def _measured_calmly(probes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As `_measure`; what says `tries` so often at most, until nothing fared ill. Else the middle one counts: what
    another fault does shows in all of them, a machine that stood still for a moment in one.
    """
    rounds = [_measure(probes)]
    most = max((probe.get("tries", 1) for probe in probes), default=1)
    while len(rounds) < most and any(min(map(_ill, each)) for each in zip(*rounds, strict=True)):
        rounds.append(_measure(probes))
    told = []
    for each in zip(*rounds, strict=True):
        ordered = sorted(each, key=_ill)
        told.append(ordered[len(ordered) // 2] if _ill(ordered[0]) else ordered[0])
    return told


def _ill(told: dict[str, Any]) -> int:
    """How many of a probe's packets fared ill."""
    lost = told.get("sent", 0) - told.get("received", 0)
    return int(lost + sum(told.get(how, 0) for how in ("twice", "late", "broken")))


def _heard(probes: list[dict[str, Any]], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the other address of those of which nothing came there before."""
    silent = [told.get("also") == 0 for told in before] or [False] * len(probes)
    pairs = zip(probes, silent, strict=True)
    return [{key: one[key] for key in one if key != "also" or not deaf} for one, deaf in pairs]


def _measured(probe: dict[str, Any]) -> dict[str, Any]:
    return knocking.measure(probe) if "kind" in probe else probing.measure(probe)


def _before(wire: dict[str, Any]) -> list[dict[str, Any]]:
    """What was measured when it began; nothing where it has not."""
    with suppress(FileNotFoundError, ValueError), open(_mark(wire)) as stream:  # noqa: PTH123
        return list(json.load(stream))
    return []


def _mark(wire: dict[str, Any]) -> str:
    return f"/run/envctl-{wire['token']}.begun"

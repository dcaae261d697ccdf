"""What was measured of a fault, in words: one fact a line, and what says nothing left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TRUTH = {True: "yes", False: "no"}
_UNITS = (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3), ("bit/s", 1.0))
_FLAWS = {"twice": "twice", "late": "overtaken", "broken": "broken"}


def facts(evidence: Mapping[str, Any]) -> str:
    """What was measured, one fact a line."""
    return "".join(_fact(name, value, 1) for name, value in evidence.items())


def _fact(name: str, value: object, depth: int) -> str:
    """One line; of a mapping that is neither a measurement nor short, one for each of its facts, further in."""
    if value is None or value in ("", [], (), {}):
        return ""
    if isinstance(value, Mapping) and not _is_measured(value) and any(isinstance(of, Mapping) for of in value.values()):
        inner = "".join(_fact(str(key), of, depth + 1) for key, of in value.items())
        return f"\n{'  ' * depth}{name}:{inner}" if inner else ""
    return f"\n{'  ' * depth}{name}: {_words(value)}"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return _TRUTH[value]
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return "; ".join(map(str, value))
    if isinstance(value, Mapping):
        return _packets(value) if _is_measured(value) else ", ".join(f"{key} {_words(of)}" for key, of in value.items())
    return json.dumps(value, default=str)


def _is_measured(value: Mapping[str, Any]) -> bool:
    return {"sent", "received"} <= value.keys()


def _packets(measured: Mapping[str, Any]) -> str:
    """`5 of 5 packets came, in 50.3 ms (50.1 to 52.3)`, `19 of 19 packets came, at 1.01 Mbit/s`."""
    said = [f"{measured['received']} of {measured['sent']} packets came"]
    if times := measured.get("ms"):
        said.append(f"in {times[1]:g} ms ({times[0]:g} to {times[2]:g})")
    if rate := measured.get("rate"):
        unit, factor = next((one for one in _UNITS if rate >= 0.9995 * one[1]), _UNITS[-1])  # three digits are shown
        said.append(f"at {rate / factor:.3g} {unit}")
    said += [f"{measured[flaw]} {word}" for flaw, word in _FLAWS.items() if measured.get(flaw)]
    return ", ".join(said)

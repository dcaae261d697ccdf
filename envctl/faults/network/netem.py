"""The kernel's own emulator of networks, netem, for those kernels that have it: its words for what `envctl-packets` is
told in its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MILLION = 10_000
"""Millionths in a percent."""
_LIMIT = 10_000
"""Packets that it holds; as many as the program does."""


def leaf(packets: Mapping[str, Any]) -> list[str]:
    """What tc calls a program's settings (see compose/images/tools/packets/settings.h).

    With a jitter netem would have packets overtake one another; with a rate, however high, it does not.
    """
    words = ["netem", "limit", str(packets.get("limit", _LIMIT)), *_delay(packets)]
    if share := packets.get("loss"):
        words += ["loss", "random", _percent(share)]
        words += [f"{packets['loss-correlation']:g}%"] if packets.get("loss-correlation") else []
    for name in ("duplicate", "corrupt"):
        words += [name, _percent(packets[name])] if packets.get(name) else []
    if share := packets.get("reorder"):
        # Its words are the other way round: all others are held back by `delay`.
        words += ["reorder", _percent(100 * _MILLION - share)]
    if packets.get("jitter"):
        words += ["rate", "100gbit"]
    return words + (["seed", str(packets["seed"])] if "seed" in packets else [])


def _delay(packets: Mapping[str, Any]) -> list[str]:
    delay = packets["hold"] if packets.get("reorder") else packets.get("delay")
    if not delay:
        return []
    words = ["delay", f"{delay}us"]
    if packets.get("jitter"):
        words += [f"{packets['jitter']}us"]
        words += [f"{packets['delay-correlation']:g}%"] if packets.get("delay-correlation") else []
        if packets.get("distribution", "uniform") != "uniform":
            words += ["distribution", packets["distribution"]]
    return words


def _percent(millionths: float) -> str:
    return f"{millionths / _MILLION:g}%"

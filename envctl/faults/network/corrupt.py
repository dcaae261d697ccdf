"""Spoil packets on their way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.shares import SomePackets
from envctl.faults.values import flag, percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.protocols import Service

_SIZE = 1000
"""Bytes of a packet that measures it: a wrong bit is seldom in its number."""


@dataclass(frozen=True)
class Corrupt(SomePackets):
    """Turn one bit in some packets, each way. The checksum finds it: the packet is dropped, and TCP sends it again.

    With `--undetected` the checksum is made right again: programs get a wrong bit, as from broken hardware, and may
    store it. What was written then stays wrong when the fault is healed: use it on data that you can do without.

    The same seed turns the same bits of the same packets. Verified by datagrams of its own, within what chance allows.
    """

    name: ClassVar[str] = "corrupt"
    summary: ClassVar[str] = "Turn a bit in some of its packets, found out or not."
    setting: ClassVar[str] = "corrupt"

    percent: float = parameter(10.0, "In how many of the packets.", kind=percent, metavar="PERCENT")
    undetected: bool = parameter(default=False, help="With a right checksum: programs get the wrong bit.", kind=flag)

    def problems(self, service: Service) -> Iterable[str]:
        """Right checksums, of which the kernel's emulator knows nothing."""
        yield from super().problems(service)
        if self.undetected and self.backend == "netem":
            yield "--undetected: wanted the back end nfqueue, which alone makes checksums right, found netem"

    @property
    def wanted_backends(self) -> list[str]:
        """Without the kernel's emulator where it would be found out."""
        return [name for name in super().wanted_backends if not (self.undetected and name == "netem")]

    def more(self) -> dict[str, Any]:
        """Whether checksums are made right."""
        return {"undetected": int(self.undetected)}

    def sample(self) -> JSON:
        """Large packets."""
        return {**super().sample(), "size": _SIZE}

    def hit(self, measured: JSON) -> int:
        """Those that came with a wrong bit, or those that did not come for it."""
        return int(measured["broken"] if self.undetected else measured["sent"] - measured["received"])

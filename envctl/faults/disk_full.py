"""Fill a service's disk: its data directory takes nothing more."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.disk import Calls, Order, Refusal
from envctl.faults.fault import parameter

if TYPE_CHECKING:
    from envctl.capabilities import KeepsData


@dataclass(frozen=True)
class DiskFull(Refusal):
    """Let the disk of the data directory be full to its last byte: "No space left on device" (ENOSPC).

    What makes a file longer and what makes a file or folder is refused; what lies within a file can be written, files
    can be read, renamed and removed, and the free space that the service is told of is 0. With `--refuse writes` all
    writes are refused, as where quota and reserve are used up. Nothing is filled: the calls of the service's processes
    are answered in the kernel's place, and it goes on in the moment of healing, or is started again where it died.

    What a client sees. PostgreSQL: reads and updates in place go on; what needs a new file or a longer one fails with
    53100 (`could not extend file`, `could not create file`); when its log needs a new segment the server PANICs and
    ends. Redis: after one write that it could not append to its log, writes are refused (MISCONF) and reads go on; with
    `appendfsync always` it ends. MinIO: 507 XMinioStorageFull for writes, reads go on. Kafka: the broker gives up its
    only log directory and halts at the first write. ZooKeeper writes into room that it took before: for it all writes
    are refused, and it ends at the first one.

    What it does not test: writes through a mapping (the indexes of Kafka; on a real full disk SIGBUS), io_uring, the
    last partial block of a file, into which a real disk still lets some bytes. Each system call of the service costs
    about 20 µs more while it is in force, whatever it is about.
    """

    name: ClassVar[str] = "disk-full"
    summary: ClassVar[str] = "Fill its disk: the data directory takes nothing more."

    refuse: str = parameter(
        "",
        "What is refused; the service's own way without it.",
        choices={"growth": "what needs new room", "writes": "every write"},
    )

    def order(self, service: KeepsData) -> Order:
        """ENOSPC."""
        growth = self.refuse == "growth" or (not self.refuse and service.writes_need_room)
        calls = Calls.GROW if growth else Calls.WRITE
        return Order(calls | Calls.CREATE | Calls.FREE, errno.ENOSPC)

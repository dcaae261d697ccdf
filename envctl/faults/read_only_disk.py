"""Make a service's data directory read-only."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.disk import Calls, Order, Refusal

if TYPE_CHECKING:
    from envctl.capabilities import KeepsData


@dataclass(frozen=True)
class ReadOnlyDisk(Refusal):
    """Let the file system of the data directory be read-only, as the kernel makes one that has errors (EROFS).

    Every write, and making, renaming, removing, resizing files and opening them for writing is refused: "Read-only file
    system". Files can be read. Nothing is remounted: the calls of the service's processes are answered in the kernel's
    place, and it goes on in the moment of healing, or is started again where it died.

    What a client sees. PostgreSQL: reads of what it has open or in memory go on; it opens files for writing even to
    read, so that others fail too (42501, `could not open file … Read-only file system`); at the next flush of its log
    the server PANICs and ends. Redis: MISCONF for writes, reads go on. MinIO: 403 AccessDenied for writes, reads go on.
    Kafka and ZooKeeper end at the first write.

    What it does not test: writes through a mapping and io_uring. Each system call of the service costs about 20 µs
    more while it is in force, whatever it is about.
    """

    name: ClassVar[str] = "read-only-disk"
    summary: ClassVar[str] = "Make its data directory read-only."

    def order(self, service: KeepsData) -> Order:
        """EROFS."""
        del service
        return Order(Calls.WRITE | Calls.CREATE | Calls.CHANGE, errno.EROFS)

"""Compacted topics whose log the broker has cleaned: what is left stands for what was loaded, or it does not.

The cleaner removes records whose key has a later one, and in the end tombstones too. Offsets stay. So a cleaned log is
as good as the whole one if each record that is left is the one of its offset, and of each key the last one is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.kafka.seeding import log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from envctl.services.kafka.seeding.batches import Batch
    from envctl.services.kafka.seeding.log import Record, Stored


def standing(planned: Iterable[Batch], there: Iterable[Stored]) -> tuple[int, str]:
    """The digest of the planned batches, and why what is there does not stand for them; empty if it does.

    Holds the keys of removed records until a later one of theirs is found: the partition's distinct keys at most.
    Takes a few microseconds a record.
    """
    removed: dict[bytes | None, Record] = {}
    crc, left = 0, _records(there)
    found = next(left, None)
    for batch in planned:
        crc = batch.digest(crc)
        for record in log.records(log.planned(batch)):
            if found is None or found.offset > record.offset:
                removed[record.key] = record
            elif told := log.difference(record, found):
                return crc, f", offset {record.offset}: {told}"
            else:
                removed.pop(record.key, None)
                found = next(left, None)
    if found is not None:
        return crc, f", offset {found.offset}: nothing was loaded here"
    lost = next((record for record in removed.values() if record.value is not None), None)
    return crc, f", offset {lost.offset}: the last record of its key is gone" if lost else ""


def _records(there: Iterable[Stored]) -> Iterator[Record]:
    for batch in there:
        if batch.sound:
            yield from log.records(batch)

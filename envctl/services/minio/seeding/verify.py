"""The manifest of what is in the buckets, and the first difference between two.

`{bucket: {rows, bytes, digest, objects: {key: [bytes, ETag]}}}`; above `LISTED` objects `folders: {folder: [objects,
bytes, digest]}` in the place of `objects`. The digest is over all keys, sizes and ETags, in order.

An ETag is the MD5 that the server computed when the object was stored; MinIO checks what is on its disk when it is
read. What stands beside the dataset's own folders in a bucket is others' and is not looked at.
"""

from __future__ import annotations

import hashlib
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from envctl.services.minio.seeding.buckets import Stored

LISTED = 10_000
"""Objects of a bucket up to which the manifest names each."""


def section(objects: Sequence[Stored]) -> dict[str, Any]:
    """One bucket's part of the manifest; the objects are in order of their keys."""
    found: dict[str, Any] = {"rows": len(objects), "bytes": sum(o.size for o in objects), "digest": _digest(objects)}
    if len(objects) <= LISTED:
        return {**found, "objects": {o.key: [o.size, o.etag] for o in objects}}
    folders = ((name, list(inside)) for name, inside in groupby(objects, lambda o: o.key.rpartition("/")[0]))
    told = {name: [len(inside), sum(o.size for o in inside), _digest(inside)] for name, inside in folders}
    return {**found, "folders": told}


def difference(recorded: dict[str, Any], measured: dict[str, Any]) -> str:
    """The first difference in words; empty: none."""
    for bucket in sorted({*recorded, *measured}):
        if bucket not in measured or bucket not in recorded:
            return f"bucket {bucket} {'is missing' if bucket in recorded else 'was not loaded'}"
        loaded, now = recorded[bucket], measured[bucket]
        if loaded == now:
            continue
        if "objects" in loaded and "objects" in now:
            return _first(bucket, loaded["objects"], now["objects"], _object)
        if "folders" in loaded and "folders" in now:
            return _first(bucket, loaded["folders"], now["folders"], _folder)
        return f"bucket {bucket} has {now['rows']:,} objects; loaded were {loaded['rows']:,}"
    return ""


def _first(bucket: str, loaded: dict[str, Any], now: dict[str, Any], told: Callable[[str, Any, Any], str]) -> str:
    key = min(key for key in {*loaded, *now} if loaded.get(key) != now.get(key))
    return told(f"{bucket}/{key}", loaded.get(key), now.get(key))


def _object(name: str, loaded: Sequence[Any] | None, now: Sequence[Any] | None) -> str:
    if now is None:
        return f"object {name} is missing"
    if loaded is None:
        return f"object {name} is there and was not loaded"
    if loaded[0] != now[0]:
        return f"object {name} has {now[0]:,} bytes; loaded were {loaded[0]:,}"
    return f"object {name} has other bytes: ETag {now[1]}; loaded was {loaded[1]}"


def _folder(name: str, loaded: Sequence[Any] | None, now: Sequence[Any] | None) -> str:
    if now is None or loaded is None:
        return f"folder {name}/ {'is missing' if now is None else 'is there and was not loaded'}"
    if loaded[0] != now[0]:
        return f"folder {name}/ has {now[0]:,} objects; loaded were {loaded[0]:,}"
    return (
        f"the objects in folder {name}/ have other names, sizes ({now[1]:,} bytes; loaded were {loaded[1]:,}) or ETags"
    )


def _digest(objects: Iterable[Stored]) -> str:
    digest = hashlib.sha256()
    for found in objects:
        digest.update(f"{found.key}\0{found.size}\0{found.etag}\n".encode())
    return digest.hexdigest()

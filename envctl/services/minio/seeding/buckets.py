"""What is asked of buckets: which there are, what is in them, make and remove."""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from os.path import commonprefix
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus

from envctl.services.minio.seeding.client import NO_CONTENT, OK, Client, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from envctl.model import Endpoint

BATCH = 1000
"""Keys that one DeleteObjects takes at most (S3)."""

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the server lists it."""

    key: str
    size: int
    etag: str


class Scope:
    """The part of a bucket that is a dataset's: the topmost folders of its keys, and its keys that are in none."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._tops = frozenset(_top(key) for key in keys)
        self.prefix = commonprefix(list(self._tops))  # noqa: RUF071 - keys are texts, and end anywhere
        """What all keys in it begin with."""

    def __contains__(self, key: str) -> bool:
        return _top(key) in self._tops


def path(bucket: str, key: str = "") -> str:
    """The path of a request."""
    return quote(f"/{bucket}/{key}" if key else f"/{bucket}")


def names(client: Client) -> frozenset[str]:
    """The names of all buckets."""
    from xml.etree import ElementTree as ET

    wanted = "the buckets listed"
    answer = client.request(wanted, ("GET", "/"))
    if answer.status != OK:
        raise refused(wanted, answer)
    page = ET.fromstring(answer.body)  # noqa: S314 - our own server's
    return frozenset(found.text or "" for found in page.iterfind("{*}Buckets/{*}Bucket/{*}Name"))


def make(client: Client, bucket: str) -> None:
    """Make a bucket; one that is there is fine."""
    wanted = f"bucket {bucket} made"
    answer = client.request(wanted, ("PUT", path(bucket)))
    if answer.status != OK and answer.code != "BucketAlreadyOwnedByYou":
        raise refused(wanted, answer)


def holds(client: Client, bucket: str, key: str) -> bool:
    """Whether the object is there."""
    wanted = f"object {bucket}/{key} looked at"
    answer = client.request(wanted, ("HEAD", path(bucket, key)))
    if answer.status not in {OK, _NOT_FOUND}:
        raise refused(wanted, answer)
    return answer.status == OK


def listed(client: Client, bucket: str, prefix: str = "") -> Iterator[Stored]:
    """All objects whose key begins with `prefix`, in order of their keys; none of a bucket that is not there."""
    from xml.etree import ElementTree as ET

    wanted = f"the objects of bucket {bucket} listed"
    query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
    more: str | None = ""
    while more is not None:
        answer = client.request(wanted, ("GET", path(bucket)), query | ({"continuation-token": more} if more else {}))
        if answer.code == "NoSuchBucket":
            return
        if answer.status != OK:
            raise refused(wanted, answer)
        page = ET.fromstring(answer.body)  # noqa: S314 - our own server's
        for found in page.iterfind("{*}Contents"):
            key, size, etag = (found.findtext(f"{{*}}{name}", "") for name in ("Key", "Size", "ETag"))
            yield Stored(unquote_plus(key), int(size), etag.strip('"'))
        more = page.findtext("{*}NextContinuationToken")


def clear(at: Endpoint, footprint: Mapping[str, Any]) -> str:
    """Remove all that is in the folders of a footprint, and its keys that are in none; then those buckets that were
    made for it and are empty now. Nobody else's objects were in these folders when it was loaded.

    Returns what was removed in a few words; empty: nothing was there.
    """
    with Client(at) as client:
        objects = sum([_clear(client, bucket, keys) for bucket, keys in footprint.get("keys", {}).items() if keys])
        emptied = sum([_remove(client, bucket) for bucket in footprint.get("buckets", ())])
    return ", ".join(_counted(count, what) for count, what in ((objects, "object"), (emptied, "bucket")) if count)


def _clear(client: Client, bucket: str, keys: Sequence[str]) -> int:
    """Remove what is in the part of the bucket that these keys are in; how many objects that were."""
    scope = Scope(keys)
    there = [found.key for found in listed(client, bucket, scope.prefix) if found.key in scope]
    for start in range(0, len(there), BATCH):
        _delete(client, bucket, there[start : start + BATCH])
    return len(there)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _delete(client: Client, bucket: str, keys: Iterable[str]) -> None:
    """DeleteObjects; keys that are gone meanwhile are fine."""
    listing = "".join(f"<Object><Key>{html.escape(key, quote=False)}</Key></Object>" for key in keys)
    body = f"<Delete><Quiet>true</Quiet>{listing}</Delete>".encode()
    checksum = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    wanted = f"the dataset's objects in bucket {bucket} removed"
    answer = client.request(wanted, ("POST", path(bucket)), {"delete": ""}, body, {"content-md5": checksum})
    # Some keys may be refused in an answer that is else fine.
    if answer.status != OK or b"<Error>" in answer.body:
        raise refused(wanted, answer)


def _remove(client: Client, bucket: str) -> bool:
    """Remove a bucket, if nobody else has put anything into it; whether it was there and went."""
    wanted = f"bucket {bucket} removed"
    answer = client.request(wanted, ("DELETE", path(bucket)))
    if answer.status not in {OK, NO_CONTENT} and answer.code not in {"NoSuchBucket", "BucketNotEmpty"}:
        raise refused(wanted, answer)
    return answer.status in {OK, NO_CONTENT}


def _top(key: str) -> str:
    """The topmost folder with its slash, or the key itself where it is in none."""
    folder, slash, _ = key.partition("/")
    return folder + slash

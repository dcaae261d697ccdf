"""Multipart uploads and objects, as the server itself tells of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from envctl.protocols import NotReady
from envctl.services.minio.requests import Answer, Requests
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from envctl.model import Endpoint

_OK, _GONE, _TIMEOUT = 200, 404, 30.0
_NAMESPACE = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}
READ_UP_TO = 1 << 28
"""Bytes up to which an object is read whole to see that it is: 256 MiB."""


@dataclass(frozen=True)
class Upload:
    """One that is open: its parts' ETags and sizes in their order; `initiated` is ISO-8601 UTC, the server's clock."""

    bucket: str
    key: str
    id: str
    initiated: str = ""
    etags: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def etag(self) -> str:
        """The ETag of the object that all these parts make."""
        digests = b"".join(bytes.fromhex(etag) for etag in self.etags)
        return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(self.etags)}"

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(self.sizes)


@dataclass(frozen=True)
class Object:
    """One that is there; `modified` is ISO-8601 UTC with ms, the server's clock."""

    etag: str
    size: int
    modified: str


class Store:
    """Questions to one server, as admin.

    Raises (all methods): NotReady where it does not answer, or refuses.
    """

    def __init__(self, at: Endpoint) -> None:
        self._send = Requests(at, _TIMEOUT, admin_of(at)).send

    def buckets(self) -> list[str]:
        """All of them."""
        return [_text(one, "Name") for one in _xml(self._send("GET", "/")).iterfind("s3:Buckets/s3:Bucket", _NAMESPACE)]

    def open_uploads(self) -> list[Upload]:
        """All that were opened since the server started: without a key it knows of no others."""
        listed = (self._parts(found) for bucket in self.buckets() for found in self._uploads(bucket, ""))
        return [one for one in listed if one]

    def upload(self, bucket: str, key: str, upload: str) -> Upload | None:
        """One that is open, with its parts; None when it is not. It is found also after the server was started anew."""
        found = next((one for one in self._uploads(bucket, key) if one.id == upload), None)
        return self._parts(found) if found else None

    def object(self, bucket: str, key: str) -> Object | None:
        """The object of exactly that key; None where there is none."""
        query = {"list-type": "2", "prefix": key, "max-keys": "1"}
        for one in _xml(self._send("GET", f"/{bucket}", query)).iterfind("s3:Contents", _NAMESPACE):
            if _text(one, "Key") == key:
                return Object(_text(one, "ETag").strip('"'), int(_text(one, "Size")), _text(one, "LastModified"))
        return None

    def damage(self, wanted: Upload) -> str:
        """What is wrong with the object that an upload made, its parts read one by one; nothing where nothing is."""
        for number, (etag, size) in enumerate(zip(wanted.etags, wanted.sizes, strict=True), 1):
            answer = self._send("GET", f"/{wanted.bucket}/{quote(wanted.key)}", {"partNumber": str(number)})
            if len(answer.body) != size or hashlib.md5(answer.body, usedforsecurity=False).hexdigest() != etag:
                return f"part {number} of {wanted.bucket}/{wanted.key} is not what was uploaded ({answer.code})"
        return ""

    def _uploads(self, bucket: str, key: str) -> list[Upload]:
        answer = self._send("GET", f"/{bucket}", {"uploads": "", "prefix": key})
        if answer.status == _GONE:
            return []
        return [
            Upload(bucket, _text(one, "Key"), _text(one, "UploadId"), _text(one, "Initiated"))
            for one in _xml(answer).iterfind("s3:Upload", _NAMESPACE)
        ]

    def _parts(self, upload: Upload) -> Upload | None:
        """With its parts; None when its client has aborted it since it was listed."""
        etags: list[str] = []
        sizes: list[int] = []
        marker, more = "0", True
        while more:
            query = {"uploadId": upload.id, "part-number-marker": marker}
            answer = self._send("GET", f"/{upload.bucket}/{quote(upload.key)}", query)
            if answer.status == _GONE:
                return None
            listed = _xml(answer)
            for part in listed.iterfind("s3:Part", _NAMESPACE):
                etags.append(_text(part, "ETag").strip('"'))
                sizes.append(int(_text(part, "Size")))
            marker, more = _text(listed, "NextPartNumberMarker"), _text(listed, "IsTruncated") == "true"
        return Upload(upload.bucket, upload.key, upload.id, upload.initiated, tuple(etags), tuple(sizes))


def _xml(answer: Answer) -> Element:
    from xml.etree import ElementTree as ET

    if answer.status != _OK:
        raise NotReady(f"MinIO refused: {answer.code}")
    return ET.fromstring(answer.body)  # noqa: S314 - the server's own words


def _text(element: Element, name: str) -> str:
    return element.findtext(f"s3:{name}", "", _NAMESPACE)

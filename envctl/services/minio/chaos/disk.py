"""What a full, read-only or slow disk means to MinIO: where its data lies, and a write that reaches it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from envctl.model import Endpoint

_NO_CONTENT = 204


class MinioDisk:
    """`KeepsData`."""

    data_directory = "/data"
    writes_need_room = True
    syncs = True
    remembers = 1.5  # disk information is kept for a second (xl-storage), and asked for anew in the background

    def write(self, at: Endpoint, timeout: float) -> None:
        """Begin a multipart upload, which makes a file and shows in no listing of objects, and abort it."""
        from envctl.services.minio.requests import Requests
        from envctl.services.minio.service import BUCKET

        path, send = f"/{BUCKET}/.envctl-write", Requests(at, timeout, admin_of(at)).send
        begun = send("POST", path, {"uploads": ""})
        upload = re.search(rb"<UploadId>([^<]+)</UploadId>", begun.body)
        if upload is None:
            raise NotReady(f"a multipart upload: {begun.status} {begun.code}")
        aborted = send("DELETE", path, {"uploadId": upload[1].decode()})
        if aborted.status != _NO_CONTENT:
            raise NotReady(f"to abort a multipart upload: {aborted.status} {aborted.code}")

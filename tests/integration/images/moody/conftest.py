"""A small registry that speaks the real protocol (Docker Registry HTTP API v2) and can be told to misbehave."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(content: bytes) -> str:
    """The name under which a registry keeps these bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class MoodyRegistry:
    """Holds one tiny image, `host/name:1`.

    `moods` maps a part of a path to the statuses of the next answers there (the last one stays); `forged` maps a
    digest to other bytes than its own; `silent` parts of paths are never answered; `slow` ones stop in the middle.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.moods: dict[str, list[int]] = {}
        self.forged: dict[str, bytes] = {}
        self.silent: set[str] = set()
        self.slow: set[str] = set()
        self.asked: list[str] = []
        self.layer = gzip.compress(_tar("pebble", uuid.uuid4().bytes), mtime=0)
        self.content = self._contents()
        self._end = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"

    @property
    def reference(self) -> str:
        """The image's name with its tag."""
        return f"{self.host}/{self.name}:1"

    def requests(self, part: str) -> int:
        """How often a path with this part was asked for."""
        return sum(part in path for path in self.asked)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    def _contents(self) -> dict[str, bytes]:
        """The image's parts by digest; the manifest also as tag `1`."""
        rootfs = {"type": "layers", "diff_ids": [digest(gzip.decompress(self.layer))]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": len(config),
                    "digest": digest(config),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(self.layer),
                        "digest": digest(self.layer),
                    }
                ],
            }
        ).encode()
        self.digest = digest(manifest)
        return {digest(part): part for part in (self.layer, config, manifest)} | {"1": manifest}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request as the moods say."""
        self.asked.append(f"{request.command} {request.path}")
        if any(part in request.path for part in self.silent):
            self._end.wait()
            return
        status = next((self._next(moods) for part, moods in self.moods.items() if part in request.path), 200)
        key = request.path.rpartition("/")[2]
        body = b"{}" if request.path == "/v2/" else self.forged.get(key, self.content.get(key))
        if status != 200 or body is None:
            self._refuse(request, status if status != 200 else 404)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        if "/manifests/" in request.path:
            request.send_header("Content-Type", MANIFEST)
            request.send_header("Docker-Content-Digest", key if ":" in key else digest(body))
        request.end_headers()
        if request.command == "HEAD":
            return
        if any(part in request.path for part in self.slow):
            request.wfile.write(body[: len(body) // 2])
            request.wfile.flush()
            self._end.wait()
            return
        request.wfile.write(body)

    @staticmethod
    def _next(moods: list[int]) -> int:
        return moods.pop(0) if len(moods) > 1 else moods[0]

    @staticmethod
    def _refuse(request: BaseHTTPRequestHandler, status: int) -> None:
        code = {404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS", 401: "UNAUTHORIZED"}.get(status, "UNKNOWN")
        message = "You have reached your pull rate limit." if status == 429 else code.lower().replace("_", " ")
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.answer(self)

            do_HEAD = do_GET  # noqa: N815 - the name that the base class looks for

            def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the base class's signature
                """Say nothing."""

        return Handler


def _tar(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def moody(repo: str) -> Iterator[MoodyRegistry]:
    """A registry that holds `<repo>/pebble:1` and behaves as it is told."""
    with MoodyRegistry(f"{repo}/pebble") as server:
        yield server

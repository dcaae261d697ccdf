"""MinIO's signatures, encryption and variables, without a server."""

from __future__ import annotations

import datetime as dt
import hashlib
import http.server
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from minio.credentials import Credentials
from minio.signer import sign_v4_s3

from envctl.model import Endpoint, Identity
from envctl.protocols import NotReady
from envctl.services.minio import Minio
from envctl.services.minio.requests import Answer, encrypt, signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ADMIN, APP = Identity("admin", "r00tr00t"), Identity("app", "s3crets3cret")
AT = Endpoint("minio", "127.0.0.1", {"minio": 19000, "console": 19001}, ADMIN, APP)
BUCKETS = b"<Buckets><Bucket><Name>app</Name></Bucket></Buckets>"


@contextmanager
def server(answers: Mapping[str, tuple[int, bytes]]) -> Iterator[Endpoint]:
    """A web server with a prepared answer for each path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Endpoint("minio", "127.0.0.1", {"minio": web.server_address[1]}, ADMIN, APP)
        finally:
            web.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("health", "listed", "reason"),
    [
        (503, (200, BUCKETS), r"not initialised yet \(/minio/health/cluster answered 503\)"),
        (200, (403, b"<Error><Code>InvalidAccessKeyId</Code></Error>"), "as app: InvalidAccessKeyId"),
        (200, (502, b""), "as app: status 502"),
        (200, (200, b"<Buckets></Buckets>"), "no bucket app yet"),
    ],
)
def test_each_missing_part_is_not_ready(health: int, listed: tuple[int, bytes], reason: str) -> None:
    """The object layer, the app's keys, the bucket."""
    with (
        server({"/minio/health/cluster": (health, b""), "/": listed}) as at,
        pytest.raises(NotReady, match=reason),
    ):
        Minio().ping(at, 1)


def test_all_parts_together_are_ready() -> None:
    """Health 200 and a list with the bucket."""
    with server({"/minio/health/cluster": (200, b""), "/": (200, BUCKETS)}) as at:
        Minio().ping(at, 1)


def test_the_signature_is_that_of_the_client_library() -> None:
    """For a request with a query and a body."""
    digest = hashlib.sha256(b"body").hexdigest()
    headers = signed(AT, APP, ("PUT", "/minio/admin/v3/add-user", "accessKey=a%2Fb"), digest)
    made = dt.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    wanted = sign_v4_s3(
        method="PUT",
        url=urlsplit(f"http://{AT.address}/minio/admin/v3/add-user?accessKey=a%2Fb"),
        region="us-east-1",
        headers={
            "Host": AT.address,
            "x-amz-content-sha256": headers["x-amz-content-sha256"],
            "x-amz-date": headers["x-amz-date"],
        },
        credentials=Credentials(APP.username, APP.password),
        content_sha256=headers["x-amz-content-sha256"],
        date=made,
    )
    assert headers["authorization"] == wanted["Authorization"]


def test_what_is_encrypted_differs_each_time_and_hides_its_content() -> None:
    """Salt 32, algorithm 1, nonce 8, tag 16 bytes around the payload."""
    first, second = encrypt(b"payload", "password"), encrypt(b"payload", "password")
    assert len(first) == 32 + 1 + 8 + len(b"payload") + 16
    assert first[32] == 2
    assert b"payload" not in first
    assert first != second


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"<Code>NoSuchKey</Code>", "NoSuchKey"), (b'{"Code":"AccessDenied"}', "AccessDenied"), (b"", "status 500")],
)
def test_an_error_code_is_found_in_both_forms(body: bytes, code: str) -> None:
    """XML from S3, JSON from the admin interface; else the status."""
    assert Answer(500, body).code == code


def test_options_become_variables() -> None:
    """By their name without the prefix."""
    model: dict[str, dict[str, str]] = {}
    Minio().apply_options(model, {"fs_osync": "on"})
    assert model == {"environment": {"MINIO_FS_OSYNC": "on"}}


def test_secret_variables_hold_the_password_and_no_other_does() -> None:
    """And the repr of a handle does not."""
    service = Minio()
    found = service.variables(AT)
    assert {name for name, value in found.items() if APP.password in value} == service.secret_variables()
    assert APP.password not in repr(service.handle(AT))
    assert found["AWS_ENDPOINT_URL"] == service.handle(AT).url == "http://127.0.0.1:19000"

"""MinIO as it runs."""

from __future__ import annotations

import io
import json
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from envctl.protocols import NotReady
from envctl.services.minio import Minio
from envctl.services.minio.requests import Requests, encrypt
from envctl.waiting import in_parallel, until
from tests.integration.services.conftest import ANSWER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.services.conftest import Running

MINIO = Minio()


@pytest.fixture(scope="module")
def minio(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One server for the module, ready."""
    with running_service(MINIO) as server:
        yield server.ready()


def test_it_is_ready_only_when_initialised_and_as_the_app_identity(
    running_service: Callable[..., AbstractContextManager[Running]],
) -> None:
    """Neither a server that is alive nor one that takes administration is ready: the tests' own keys must work."""
    with running_service(MINIO) as server:
        unsigned = Requests(server.at, 2)
        with pytest.raises(NotReady):
            MINIO.ping(server.at, 2)

        def initialised() -> None:
            if unsigned.send("GET", "/minio/health/cluster").status != 200:
                raise NotReady("503")

        until(initialised, PATIENCE, "initialised")

        def unknown() -> None:
            with pytest.raises(NotReady) as refused:
                MINIO.ping(server.at, 2)
            if "cannot list the buckets as app: InvalidAccessKeyId" not in str(refused.value):
                raise refused.value

        # Its users are read after its disks: until then it says something else to everybody.
        until(unknown, PATIENCE, "a server that knows who its users are")
        until(lambda: MINIO.provision(server.at, 5), PATIENCE, "provisioned")
        MINIO.ping(server.at, ANSWER)


def test_provisioning_again_and_at_once_changes_nothing(minio: Running) -> None:
    """Four at the same time, on a server that had it already: all succeed, and the keys stay."""
    results = in_parallel({str(n): lambda: MINIO.provision(minio.at, ANSWER) for n in range(4)})
    assert set(results.values()) == {None}
    MINIO.ping(minio.at, ANSWER)


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("GET", "info"),
        ("GET", "list-users"),
        ("GET", "storageinfo"),
        ("POST", "service"),
        ("PUT", "add-user"),
        ("PUT", "add-canned-policy"),
        ("PUT", "add-service-account"),
    ],
)
def test_the_app_cannot_administrate(minio: Running, method: str, call: str) -> None:
    """The whole admin interface is closed to it, keys of its own making included."""
    query = {"accessKey": "friend", "name": "mine", "action": "stop"}
    assert minio.at.app
    body = encrypt(b'{"status":"enabled","secretKey":"12345678"}', minio.at.app.password)
    answer = Requests(minio.at, ANSWER, minio.at.app).send(method, f"/minio/admin/v3/{call}", query, body)
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_the_app_can_do_what_tests_do(minio: Running) -> None:
    """Objects in its bucket, buckets of its own, links for others."""
    handle = MINIO.handle(minio.at)
    client = handle.client()
    client.put_object(handle.bucket, "word", io.BytesIO(b"kept"), 4)
    with urllib.request.urlopen(client.presigned_get_object(handle.bucket, "word"), timeout=ANSWER) as answer:  # noqa: S310 - http, from our own client
        assert answer.read() == b"kept"
    client.remove_object(handle.bucket, "word")
    client.make_bucket("of-my-own")
    client.remove_bucket("of-my-own")


def test_a_restart_changes_nothing(minio: Running) -> None:
    """Same address, same keys, same objects; provisioning again is not needed."""
    handle = MINIO.handle(minio.at)
    handle.client().put_object(handle.bucket, "survivor", io.BytesIO(b"42"), 2)
    minio.restart()
    until(lambda: MINIO.ping(minio.at, 2), PATIENCE, "ready again")
    answer = handle.client().get_object(handle.bucket, "survivor")
    with answer:
        assert answer.read() == b"42"


def test_a_server_that_hangs_costs_no_more_than_the_time_limit(minio: Running) -> None:
    """Frozen, it keeps accepting connections; the attempt ends nevertheless."""
    minio.docker("pause", minio.container())
    try:
        with pytest.raises(NotReady, match=r"no answer within 0.3 s"):
            MINIO.ping(minio.at, 0.3)
    finally:
        minio.docker("unpause", minio.container())


def test_a_wrong_password_is_named_but_not_shown(minio: Running) -> None:
    """The reason says who, and never with what."""
    assert minio.at.app
    wrong = replace(minio.at, app=replace(minio.at.app, password="wr0ng-secret"))
    with pytest.raises(NotReady, match=r"^cannot list the buckets as app: SignatureDoesNotMatch$"):
        MINIO.ping(wrong, ANSWER)


def test_the_console_answers_on_its_own_port(minio: Running) -> None:
    """For people with a browser."""

    def look() -> bytes:
        try:
            with urllib.request.urlopen(f"http://{minio.at.host}:{minio.at.ports['console']}/", timeout=ANSWER) as page:
                return bytes(page.read())
        except OSError as error:
            raise NotReady(str(error)) from error

    # After a restart it comes later than what ping asks.
    assert b"<html" in until(look, PATIENCE, "the console").lower()


def test_the_healthcheck_passes_on_a_ready_server(minio: Running) -> None:
    """With what is in the image."""
    command = minio.inspect()["Config"]["Healthcheck"]["Test"][1:]
    assert minio.execute(*command) == ""


def test_its_secrets_are_nowhere_to_be_seen(minio: Running) -> None:
    """Not in what the engine tells, not in the log, not in any process's arguments."""
    seen = json.dumps(minio.inspect()) + minio.logs() + minio.docker("top", minio.container())
    assert minio.at.admin
    assert minio.at.app
    assert minio.at.admin.password not in seen
    assert minio.at.app.password not in seen


def test_the_shell_has_mc_set_up_as_app(minio: Running) -> None:
    """With credentials in variables, so in no argument."""
    _, environ = MINIO.shell(minio.at)
    assert "app/" in minio.execute("mc", "ls", "app", environ=environ)

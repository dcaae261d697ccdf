"""Spark Connect as it runs."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING

import pytest

from envctl.model import Identity
from envctl.protocols import NotReady
from envctl.services.minio import Minio
from envctl.services.spark_connect import SparkConnect
from envctl.waiting import until
from tests.integration.services.conftest import ANSWER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.services.conftest import Running


@pytest.fixture(scope="module")
def spark(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One server with MinIO beside it for the module; Spark is ready."""
    with running_service(SparkConnect(), Minio()) as server:
        until(lambda: server.service.ping(server.at, 2), PATIENCE, "spark-connect ready")
        yield server


def test_it_is_not_ready_while_it_boots_and_keeps_its_address(spark: Running) -> None:
    """The published port accepts seconds before Spark does."""
    spark.restart()
    with pytest.raises(NotReady):
        spark.service.ping(spark.at, 1)
    until(lambda: spark.service.ping(spark.at, 2), PATIENCE, "spark-connect ready")


def test_a_session_counts(spark: Running) -> None:
    """Spark's own client, through the handle's URL."""
    session = SparkConnect().handle(spark.at).session()
    try:
        assert session.range(10).count() == 10
    finally:
        session.stop()


def test_a_session_reads_from_minio_what_it_wrote(spark: Running) -> None:
    """`s3a://` works without credentials in the session."""
    spark.ready()
    session = SparkConnect().handle(spark.at).session()
    try:
        session.range(100).write.parquet("s3a://app/numbers")
        assert session.read.parquet("s3a://app/numbers").count() == 100
    finally:
        session.stop()


def test_a_wrong_token_is_refused_by_name(spark: Running) -> None:
    """The server is up, so the reason is the login; the token is in no text."""
    stranger = dataclasses.replace(spark.at, app=Identity("app", "a-wrong-word"))
    with pytest.raises(NotReady, match="authentication refused") as caught:
        spark.service.ping(stranger, ANSWER)
    assert "a-wrong-word" not in str(caught.value)


def test_a_ping_leaves_no_session(spark: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again under the same session id, Spark says that this session was closed."""
    one = uuid.uuid4()
    monkeypatch.setattr(uuid, "uuid4", lambda: one)
    spark.service.ping(spark.at, ANSWER)
    with pytest.raises(NotReady, match="SESSION_CLOSED"):
        spark.service.ping(spark.at, ANSWER)


def test_no_secret_is_seen_from_outside(spark: Running) -> None:
    """Not in what the engine tells, not in the process list, not in the log; MinIO's neither."""
    words = [identity.password for at in spark.endpoints.values() for identity in (at.admin, at.app) if identity]
    seen = str(spark.inspect()) + spark.execute("ps", "auxww") + spark.logs()
    assert "SparkConnectServer" in seen
    assert [word for word in words if word in seen] == []


def test_it_stops_at_once_and_cleanly(spark: Running) -> None:
    """SIGTERM reaches Spark: it ends by that signal and not by the grace period's kill."""
    spark.docker("stop", spark.container())
    assert spark.docker("inspect", "-f", "{{.State.ExitCode}}", spark.container()).strip() == "143"
    spark.docker("start", spark.container())
    until(lambda: spark.service.ping(spark.at, 2), PATIENCE, "spark-connect ready")

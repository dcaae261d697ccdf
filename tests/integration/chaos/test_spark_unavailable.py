"""Spark Connect that is unavailable, and Spark whose object storage is in trouble: what clients see, and after it."""

from __future__ import annotations

import json
import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors.exceptions.connect import SparkConnectGrpcException

from envctl.chaos.ward import Ward
from envctl.engine.gates import inside
from envctl.errors import ConfigurationError, FaultConflict
from envctl.faults.ways.fail_requests import FailRequests
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pyspark.sql import SparkSession

    from envctl.environment import Environment

SERVICES = ["minio", "spark-connect"]


@pytest.fixture
def session(env: Environment) -> Iterator[SparkSession]:
    """A live session with a temporary view of seven rows, whose client tries once."""
    live = env.spark.session()
    live.client.set_retry_policies([])  # type: ignore[union-attr]
    live.range(7).createOrReplaceTempView("seven")
    assert _count(live) == 7
    yield live
    env.chaos.heal()
    live.stop()


def _count(session: SparkSession) -> int:
    return int(session.sql("SELECT count(*) AS n FROM seven").collect()[0]["n"])


def _goes_on(session: SparkSession) -> None:
    """It answers: its client, which tries once, may not have heard yet that its connection to the gate has ended."""

    def count() -> int:
        try:
            return _count(session)
        except SparkConnectGrpcException as error:
            raise NotReady(str(error)) from error

    assert until(count, 60, "the session answers") == 7


def _network(env: Environment) -> str:
    """The rules in the server's network namespace."""
    site = Ward(env.name).site("spark-connect")
    pid = site.hands.pid(site.container.id)
    look = inside(pid, "sh", "-c", 'rules=$(nft -s list ruleset 2>/dev/null) && echo "$rules"')
    return site.hands.operate(env.name, look).output


@pytest.mark.parametrize(
    ("how", "status"),
    [("", "UNAVAILABLE"), ("resource-exhausted", "RESOURCE_EXHAUSTED"), ("deadline-exceeded", "DEADLINE_EXCEEDED")],
)
def test_live_and_new_sessions_are_refused_and_the_live_one_goes_on_with_its_view(
    env: Environment, session: SparkSession, how: str, status: str
) -> None:
    """In gRPC's own status; envctl's ping says it, too."""
    before = _network(env)
    with env.chaos.fail_requests("spark-connect", how=how) as fault:
        assert fault.evidence["new session"].startswith(status)
        assert fault.evidence["live session"].startswith(status)
        another = env.spark.session()
        if not how:
            another.client.set_retry_policies([])  # type: ignore[union-attr]
        for one in (session, another):
            with pytest.raises(SparkConnectGrpcException, match=status):
                one.range(3).collect()
        with pytest.raises(NotReady, match=status):
            Ward(env.name).site("spark-connect").ping(30)
    assert fault.healed is not None
    assert fault.healed.evidence == {"calls": "answered", "session": "the same", "gate": "gone"}
    _goes_on(session)
    assert another.range(3).count() == 3
    another.stop()
    assert _network(env) == before


def test_a_client_that_tries_again_has_its_answer_after_healing(env: Environment) -> None:
    """As Spark's own does where nobody tells it not to."""
    patient, answers = env.spark.session(), list[int]()
    patient.range(5).createOrReplaceTempView("seven")
    tried = threading.Event()
    policies = patient.client.get_retry_policies()  # type: ignore[union-attr]
    for policy in policies:
        asked = policy.can_retry
        policy.can_retry = lambda error, asked=asked: tried.set() or asked(error)
    with env.chaos.fail_requests("spark-connect"):
        thread = threading.Thread(target=lambda: answers.append(_count(patient)), daemon=True)
        thread.start()
        assert tried.wait(60)
        assert answers == []
    thread.join(120)
    assert answers == [5]
    patient.stop()


@pytest.mark.parametrize("steps", range(4))
def test_another_process_heals_it_wherever_the_injector_was_killed(
    env: Environment, session: SparkSession, steps: int
) -> None:
    """After planning, acting, proving, and undoing; all that is left then is the journal."""
    fault, before, site = FailRequests(), _network(env), Ward(env.name).site("spark-connect")
    plan = json.loads(json.dumps(fault.plan(site)))
    for step in (fault.apply, fault.bites, fault.undo)[:steps]:
        step(site, plan)
    elsewhere = Ward(env.name).site("spark-connect")
    fault.undo(elsewhere, plan)
    fault.undo(elsewhere, plan)
    assert fault.recovered(elsewhere, plan)["session"] == "the same"
    assert _network(env) == before
    _goes_on(session)


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    session: SparkSession,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The warden takes the gate down, and finds the very session again."""
    with injected("env.chaos.fail_requests('spark-connect', duration='1h').__enter__()") as other:
        with pytest.raises(SparkConnectGrpcException, match="UNAVAILABLE"):
            _count(session)
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    _goes_on(session)


def test_what_needs_the_same_place_is_refused_meanwhile(env: Environment) -> None:
    """A second one, and the token's gate; also the other way round."""
    with env.chaos.fail_requests("spark-connect") as first:
        with pytest.raises(FaultConflict, match=first.id):
            env.chaos.fail_requests("spark-connect")
        with pytest.raises(FaultConflict, match=first.id):
            env.chaos.revoke_credentials("spark-connect")
    with env.chaos.revoke_credentials("spark-connect") as first, pytest.raises(FaultConflict, match=first.id):
        env.chaos.fail_requests("spark-connect")


def test_impossible_parameters_are_told_all_at_once(env: Environment) -> None:
    """What chooses among requests is MinIO's alone."""
    given: dict[str, Any] = {"how": "slow-down", "every": 3, "method": "GET", "bucket": "app", "key": "x", "after": 1}
    with pytest.raises(ConfigurationError) as error:
        env.chaos.fail_requests("spark-connect", **given, rate=1, delay=1)
    assert all(f"--{name}: wanted" in str(error.value) for name in (*given, "rate", "delay"))
    assert env.chaos.status() == []


def test_a_job_of_sparks_outlives_object_storage_that_says_slow_down(env: Environment, session: SparkSession) -> None:
    """What comes from another container meets MinIO's gate; Hadoop's client tries again."""
    place = f"s3a://app/{secrets.token_hex(4)}"
    with env.chaos.fail_requests("minio", every=4, bucket="app", duration="5m") as fault:
        session.range(100).repartition(2).write.parquet(place)
        assert session.read.parquet(place).count() == 100
    assert fault.healed is not None
    assert fault.healed.evidence["failed"] >= 2


def test_a_job_of_sparks_fails_where_its_storage_forbids_and_works_after_it(
    env: Environment, session: SparkSession
) -> None:
    """With Hadoop's own words."""
    place = f"s3a://app/{secrets.token_hex(4)}"
    with env.chaos.fail_requests("minio", how="forbidden", method="write"):
        with pytest.raises(Exception, match=r"AccessDenied|Access Denied") as error:
            session.range(10).write.parquet(place)
        assert "403" in str(error.value)
    session.range(10).write.mode("overwrite").parquet(place)
    assert session.read.parquet(place).count() == 10


def _assert(condition: bool) -> None:
    assert condition

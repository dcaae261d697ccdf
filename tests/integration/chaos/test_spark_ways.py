"""Spark's own ways, with pyspark as the client: jobs interrupted, tasks failed, heap gone, sessions lost."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors.exceptions.base import PySparkException
from pyspark.errors.exceptions.connect import SparkConnectException, SparkException, UnknownException

from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.model import State
from envctl.services.spark_connect.chaos.agent import ask

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pyspark.sql import SparkSession

    from envctl.environment import Environment
    from envctl.site import Site

SERVICES = ["spark-connect"]

LONG: dict[str, Any] = {"duration": "10m"}
"""Longer than a block takes on a machine that is busy: it is the block that ends the fault."""

ENDLESS = "SELECT count(*) FROM range(0, 1000000000000, 1, 2) WHERE id % 7 = 3"
SEVEN = "SELECT id % 7 AS k, count(*) AS n FROM range(0, 70, 1, 2) GROUP BY 1"
TWO_SECONDS = "SELECT reflect('java.lang.Thread', 'sleep', 2000L)"
MUCH = "SELECT size(collect_list(id)) FROM range(0, 5000000, 1, 1)"


@pytest.fixture
def session(env: Environment) -> Iterator[SparkSession]:
    """A live session with a temporary view."""
    live = env.spark.session()
    live.range(7).createOrReplaceTempView("seven")
    yield live
    live.stop()


@pytest.fixture
def site(env: Environment) -> Site:
    """Where the faults work."""
    return env.chaos._ward.site("spark-connect")


def _id(session: SparkSession) -> str:
    return str(session.session_id)  # type: ignore[attr-defined]  # of Connect's sessions


def _count(session: SparkSession) -> int:
    return int(session.sql("SELECT count(*) AS n FROM seven").collect()[0]["n"])


@contextmanager
def _running(session: SparkSession, query: str) -> Iterator[list[Any]]:
    """A query in a thread of its own, which is over at the end; what came of it."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(session.sql(query).collect())
        except PySparkException as error:
            came.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield came
    finally:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("how", "kind", "condition"),
    [("operation", UnknownException, "OPERATION_CANCELED"), ("job", SparkException, "SPARK_JOB_CANCELLED")],
)
def test_a_query_that_runs_is_interrupted_and_its_session_goes_on(
    env: Environment, session: SparkSession, how: str, kind: type[PySparkException], condition: str
) -> None:
    """The live one, and the next; not a call that executes nothing."""
    with _running(session, ENDLESS) as came, env.chaos.interrupt_job("spark-connect", **LONG, how=how) as fault:
        assert condition in fault.evidence["an operation"]
        with pytest.raises(kind) as said:
            session.sql(SEVEN).collect() if how == "operation" else session.sql(ENDLESS).collect()
        assert said.value.getCondition() == condition
        assert session.table("seven").columns == ["id"]
    assert (type(came[0]), came[0].getCondition()) == (kind, condition)
    assert _count(session) == 7
    assert fault.healed is not None
    assert fault.healed.evidence["operations interrupted"] == 2


def test_only_what_is_meant_is_interrupted_only_so_often_and_not_before_its_time(
    env: Environment, session: SparkSession
) -> None:
    """Another session, and the second of those that are meant, go on."""
    another = env.spark.session()
    session.addTag("nightly")
    meant = {"session": _id(session), "tag": "nightly", "after": "1s", "count": 1}
    with env.chaos.interrupt_job("spark-connect", **LONG, **meant), _running(another, TWO_SECONDS) as came:
        began = time.monotonic()
        with pytest.raises(UnknownException, match="OPERATION_CANCELED"):
            session.sql(ENDLESS).collect()
        assert time.monotonic() - began >= 1
        assert len(session.sql(TWO_SECONDS).collect()) == 1
    assert len(came[0]) == 1
    for other in ({"tag": "weekly"}, {"user": "somebody"}):
        with env.chaos.interrupt_job("spark-connect", **LONG, **other):
            assert _count(session) == 7
    another.stop()


@pytest.mark.parametrize(("how", "words"), [("error", "IllegalState"), ("late", "TaskCompletionListener")])
def test_a_task_that_fails_fails_its_job(env: Environment, session: SparkSession, how: str, words: str) -> None:
    """Local mode gives it one attempt; what has no task is answered."""
    with env.chaos.fail_tasks("spark-connect", **LONG, how=how) as fault:
        assert "Job aborted due to stage failure" in fault.evidence["a job"]
        with pytest.raises(SparkException, match=f"Job aborted due to stage failure(.|\n)*{words}.*failed by envctl"):
            session.sql(SEVEN).collect()
        assert [row["viewName"] for row in session.sql("SHOW VIEWS").collect()] == ["seven"]
    assert len(session.sql(SEVEN).collect()) == 7
    assert _count(session) == 7


def test_only_tasks_that_are_meant_fail_each_so_many_and_only_so_many(env: Environment, session: SparkSession) -> None:
    """With two tasks to a stage, every fourth task is in every second query."""
    another = env.spark.session()
    query = "SELECT count(*) FROM range(0, 10, 1, 3)"  # three tasks and one that adds up
    with env.chaos.fail_tasks("spark-connect", **LONG, every=4, count=1, session=_id(session)):
        assert another.sql(query).collect()[0][0] == 10
        with pytest.raises(SparkException, match="failed by envctl"):
            session.sql(query).collect()
        assert session.sql(query).collect()[0][0] == 10
    another.stop()


def test_killed_attempts_are_made_again_and_the_job_succeeds(env: Environment, session: SparkSession) -> None:
    """Three of each task, and none of them counts as a failure."""
    with env.chaos.fail_tasks("spark-connect", **LONG, how="kill", attempts=3) as fault:
        assert fault.evidence["a job"] == "succeeded, tried again"
        assert sum(row["n"] for row in session.sql(SEVEN).collect()) == 70
    assert fault.healed is not None
    assert fault.healed.evidence["attempts hurt"] >= 9, "three of two tasks, and of at least one that adds up"


def test_a_job_that_runs_out_of_heap_ends_the_server_which_is_started_again(
    env: Environment, site: Site, eventually: Callable[..., None]
) -> None:
    """Small queries are answered before; its client is told of the memory, or loses its connection."""
    doomed = env.spark.session()
    doomed.range(7).createOrReplaceTempView("seven")
    with env.chaos.executor_oom("spark-connect", **LONG) as fault:
        assert fault.evidence["taken"] > fault.evidence["heap"] / 2
        assert _count(doomed) == 7
        doomed.client.set_retry_policies([])  # type: ignore[operator]  # of Connect's sessions
        with pytest.raises(PySparkException, match=r"OutOfMemoryError|stopped SparkContext|UNAVAILABLE"):
            doomed.sql(MUCH).collect()
        eventually(lambda: _assert(site.now().state is State.EXITED))
    assert fault.healed is not None
    assert fault.healed.evidence["the server"] == "ended with exit code 52 (out of memory), and was started anew"
    with pytest.raises(SparkConnectException, match=r"NO_ACTIVE_SESSION|SESSION_CHANGED|SESSION_NOT_FOUND"):
        _count(doomed)
    doomed.client.close()  # type: ignore[operator]  # of Connect's sessions
    again = env.spark.session()
    assert again.sql(MUCH).collect()[0][0] == 5_000_000
    again.stop()


@pytest.mark.parametrize(
    ("how", "kind", "condition"),
    [
        ("closed", UnknownException, "INVALID_HANDLE.SESSION_CLOSED"),
        ("forgotten", SparkConnectException, "NO_ACTIVE_SESSION"),
    ],
)
def test_a_session_is_lost_and_a_new_one_works(
    env: Environment,
    session: SparkSession,
    site: Site,
    eventually: Callable[..., None],
    how: str,
    kind: type[PySparkException],
    condition: str,
) -> None:
    """Just that one, with what runs in it; another one's views stay."""
    doomed = env.spark.session()
    assert doomed.sql("SELECT 1").collect()
    with _running(doomed, ENDLESS) as came:
        eventually(lambda: _assert(ask(site, "state")["jobs"] == ["1"]))
        lost = env.chaos.lose_session("spark-connect", how=how, session=_id(doomed))
    assert lost.heal().evidence == {"a new session": "answered"}
    assert [one.rpartition("/")[2] for one in lost.evidence["lost"]] == [_id(doomed)]
    assert isinstance(came[0], PySparkException)
    with pytest.raises(kind) as said:
        doomed.sql("SELECT 1").collect()
    assert said.value.getCondition() == condition
    assert _count(session) == 7
    another = env.spark.session()
    assert another.range(3).count() == 3
    another.stop()
    assert env.chaos.status() == []


def test_it_ends_with_the_process_that_holds_it_and_nothing_is_left(
    env: Environment,
    session: SparkSession,
    site: Site,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """A killed injector's faults are healed by the warden; no file of ours is in the container, and no thread."""
    before = _files(site)
    for line in ("fail_tasks('spark-connect', duration='1h')", "executor_oom('spark-connect', duration='1h')"):
        with injected(f"env.chaos.{line}.__enter__()") as other:
            token = env.chaos.status()[0].plan["token"]
            assert ask(site, "state", token=token)["in_force"] == ["1"]
            other.kill()
            eventually(lambda: _assert(env.chaos.status() == []))
        said = ask(site, "state", token=token)
        assert (said["in_force"], said["hooked"]) == (["0"], ["0"])
        assert env.chaos.history()[-1]["event"] == "fault.healed"
    assert len(session.sql(SEVEN).collect()) == 7
    assert _files(site) - before <= {".java_pid"}
    threads = site.hands.execute(site.container.id, ["sh", "-c", "cat /proc/[0-9]*/task/*/comm"]).output
    assert "envctl" not in threads


def _files(site: Site) -> set[str]:
    found = site.hands.execute(site.container.id, ["sh", "-c", "ls -A /tmp /opt/spark/work-dir"]).output.split()
    return {name.rstrip("0123456789") for name in found}


def test_it_ends_by_itself_when_nobody_is_left_to_heal(
    env: Environment,
    session: SparkSession,
    site: Site,
    eventually: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread in the server has a time limit of its own; that it is in force is seen before it is over."""
    from envctl.services.spark_connect.chaos import force

    monkeypatch.setattr(force, "_GRACE", -3588)
    with env.chaos.fail_tasks("spark-connect", duration="1h") as fault:
        token = env.chaos.status()[0].plan["token"]
        eventually(lambda: _assert(ask(site, "state", token=token)["in_force"] == ["0"]))
        assert len(session.sql(SEVEN).collect()) == 7
        assert env.chaos.status() != [], "nobody healed it"
    assert fault.healed is not None
    assert fault.healed.stage == "healed"


def test_a_server_that_is_started_anew_meanwhile_makes_it_lost(env: Environment, site: Site) -> None:
    """And is whole: the agent went with the process."""
    fault = env.chaos.interrupt_job("spark-connect", **LONG)
    site.hands.restart(site.container.id, 5)
    healed = fault.heal()
    assert (healed.stage, "started anew" in healed.problem) == ("lost", True)
    env.wait_recovered("spark-connect", timeout=120)
    again = env.spark.session()
    assert len(again.sql(SEVEN).collect()) == 7
    again.stop()


def test_what_is_impossible_is_named_and_nothing_is_touched(env: Environment, session: SparkSession) -> None:
    """All at once, before the plan; and two that hurt the same jobs do not meet."""
    with pytest.raises(ConfigurationError) as said:
        env.chaos.fail_tasks("spark-connect", **LONG, how="nonsense", every=0, attempts=0, session="x", user="u" * 101)
    for flag in ("--how: wanted one of error, late, kill", "--every", "--attempts", "--session", "--user"):
        assert flag in str(said.value)
    with pytest.raises(ConfigurationError, match="--tag: wanted a tag without a comma"):
        env.chaos.interrupt_job("spark-connect", **LONG, tag="a,b")
    with pytest.raises(ConfigurationError, match="--leave: wanted 8MiB or more"):
        env.chaos.executor_oom("spark-connect", leave="1MiB")
    with pytest.raises(FaultUnfit, match="ask for a smaller --leave"):
        env.chaos.executor_oom("spark-connect", leave="100GiB")
    with pytest.raises(FaultUnfit, match="there is none"):
        env.chaos.lose_session("spark-connect", user="nobody")
    with env.chaos.interrupt_job("spark-connect", **LONG, user="nobody"), pytest.raises(FaultConflict):
        env.chaos.fail_tasks("spark-connect", **LONG)
    assert env.chaos.status() == []
    assert _count(session) == 7


def _assert(condition: bool) -> None:
    assert condition

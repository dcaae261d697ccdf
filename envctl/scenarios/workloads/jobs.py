"""Jobs of Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.scenarios.workloads.trying import Retries, require

if TYPE_CHECKING:
    import threading

    from envctl.scenarios.host import Host

_PARTS = 8
_MODULUS = 1000


def prepare(env: Host) -> None:
    """See that there is a client, and that a first job ends well."""
    require(_squares(env, _MODULUS) == _expected(_MODULUS), "a first job has another sum")


def crunch(env: Host, stop: threading.Event, rows: int = 400_000) -> str:
    """Run jobs one after the other until told to end, each again from its beginning, in a new session, when it fails;
    every sum must be right.
    """
    import grpc
    from pyspark.errors import PySparkException

    retries, jobs = Retries((PySparkException, grpc.RpcError)), 0
    while not stop.is_set():
        found = retries.of(lambda: _squares(env, rows), "a job of Spark's")
        require(found == _expected(rows), f"the sum is {found}, and should be {_expected(rows)}")
        jobs += 1
    retries.require_some()
    return f"{jobs} jobs, all sums right; {retries}"


def _expected(rows: int) -> int:
    return sum(value * value % _MODULUS for value in range(_MODULUS)) * (rows // _MODULUS)


def _squares(env: Host, rows: int) -> int:
    from pyspark.sql import functions as f

    session = env.spark.session()
    try:
        values = session.range(rows, numPartitions=_PARTS).select((f.col("id") % _MODULUS).alias("n"))
        squares = values.select((f.col("n") * f.col("n") % _MODULUS).alias("s"))
        return int(squares.agg(f.sum("s")).collect()[0][0])
    finally:
        session.stop()

"""Orders in PostgreSQL: placed by one who keeps on, or shared by several runs at once."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.scenarios.workloads.trying import Retries, require
from envctl.waiting import until

if TYPE_CHECKING:
    import psycopg
    import redis

    from envctl.scenarios.host import Host

KEY = "envctl_scenario:done"

_LONGEST = 300.0
"""Seconds that a run goes on."""

_CREATE = "CREATE TABLE envctl_scenario_orders (token text PRIMARY KEY, run int, receipt text)"
_DROP = "DROP TABLE IF EXISTS envctl_scenario_orders"
_INSERT = "INSERT INTO envctl_scenario_orders VALUES (%s, %s, %s) ON CONFLICT (token) DO NOTHING"
_ALL = "SELECT token, receipt FROM envctl_scenario_orders"
_MINE = "SELECT token FROM envctl_scenario_orders WHERE run = %s"
# Whoever has a row locked works on it; the others go round it.
_TAKE = """
UPDATE envctl_scenario_orders SET run = %s
WHERE token = (SELECT token FROM envctl_scenario_orders WHERE run IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING token
"""

# A connection whose packets vanish is given up after seconds, not after the kernel's quarter of an hour.
_IMPATIENT: dict[str, Any] = {
    "connect_timeout": 2,
    "tcp_user_timeout": 2000,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}


class Orders:
    """The table, by a connection that is made anew when it broke."""

    def __init__(self, env: Host) -> None:
        import psycopg

        self._env = env
        self._connection: psycopg.Connection[Any] | None = None
        self.retries = Retries((psycopg.OperationalError, psycopg.InterfaceError))

    def do(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement, in a transaction of its own, as often as it takes: it must be one that may come twice."""

        def once() -> list[tuple[Any, ...]]:
            if self._connection is None or self._connection.closed:
                self._connection = self._env.postgres.connect(autocommit=True, **_IMPATIENT)
            try:
                cursor = self._connection.execute(statement.encode(), values or None)
                return cursor.fetchall() if cursor.description else []
            except self.retries.errors:
                self._connection.close()
                raise

        return self.retries.of(once, "an answer of PostgreSQL's")

    def place(self, token: str, run: int | None = None, receipt: str = "") -> None:
        """One order. That it is there already is fine: the answer to an earlier try may have been lost."""
        self.do(_INSERT, token, run, receipt)

    def all(self) -> dict[str, str]:
        """The receipt of each."""
        return dict(self.do(_ALL))

    def close(self) -> None:
        """Leave."""
        if self._connection is not None:
            self._connection.close()


def prepare(env: Host) -> None:
    """An empty table."""
    clear(env)
    orders = Orders(env)
    orders.do(_CREATE)
    orders.close()


def clear(env: Host) -> None:
    """Remove the table."""
    orders = Orders(env)
    orders.do(_DROP)
    orders.close()


def keep_ordering(env: Host, stop: threading.Event) -> str:
    """Place orders until told to end, through every failure; then look whether each that was confirmed is there."""
    orders, confirmed = Orders(env), set[str]()
    while not stop.wait(0.02):
        token = secrets.token_hex(8)
        orders.place(token)
        confirmed.add(token)
    lost = confirmed - orders.all().keys()
    orders.close()
    require(not lost, f"{len(lost)} of {len(confirmed)} confirmed orders are lost")
    orders.retries.require_some()
    return f"{len(confirmed)} orders confirmed, none lost; {orders.retries}"


def share(env: Host, stop: threading.Event, runs: int = 4) -> str:
    """Several runs at once take the orders that come in, each by itself, until told to end and none is left; each order
    is done exactly once.
    """
    incoming = Orders(env)
    crews = [_Run(env, number + 1) for number in range(runs)]
    for crew in crews:
        crew.thread.start()
    while not stop.wait(0.1) and not any(crew.error for crew in crews):
        incoming.place(secrets.token_hex(8))
    total = len(incoming.all())
    for crew in crews:
        crew.total = total
    for crew in crews:
        crew.thread.join()
    _cache(env).delete(KEY)
    incoming.close()
    if failed := [crew.error for crew in crews if crew.error is not None]:
        raise failed[0]
    shares = [len(crew.done) for crew in crews]
    require(sum(shares) == total, f"{shares} orders were done by the runs, and there were {total}")
    tried = sum(crew.orders.retries.count + crew.retries.count for crew in crews) + incoming.retries.count
    require(tried > 0, "nothing failed: nobody would have needed to try again")
    return f"{total} orders done, each once, by {runs} runs ({', '.join(map(str, shares))}); {tried} tries failed"


class _Run:
    """One of several runs. `total` is how many orders there are, when that is known."""

    def __init__(self, env: Host, number: int) -> None:
        import redis

        self.orders, self.done = Orders(env), set[str]()
        self.total: int | None = None
        self.error: BaseException | None = None
        self.retries = Retries((redis.ConnectionError, redis.TimeoutError))
        self._number, self._redis = number, _cache(env)
        self.thread = threading.Thread(target=self._work, name=f"run-{number}", daemon=True)

    def _work(self) -> None:
        try:
            until(self._next, _LONGEST, "all orders done")
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits for all
            self.error = error
        finally:
            self.orders.close()

    def _next(self) -> None:
        """Take an order and have it done; what was taken, and the answer lost, is found by this run's number."""
        for (token,) in self.orders.do(_TAKE, self._number) or self.orders.do(_MINE, self._number):
            if token not in self.done:
                # A set takes each once, however often it is brought.
                self.retries.of(lambda: self._redis.sadd(KEY, token), "an order told to Redis")  # noqa: B023
                self.done.add(token)
        done = self.retries.of(lambda: int(str(self._redis.scard(KEY))), "an answer of Redis'")
        if self.total is None or done < self.total:
            raise NotReady(f"{done} of {self.total or 'many'} orders are done")


def _cache(env: Host) -> redis.Redis:
    return env.redis.client(decode_responses=True, socket_timeout=2, socket_connect_timeout=2, retry=None)

"""Connections that are refused, lost, cut, half open or late, and names that are not found: as real clients see it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from envctl.errors import ConfigurationError, FaultDidNotBite
from tests.integration.chaos import wires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from envctl.chaos.injection import Injection
    from envctl.environment import Environment

SERVICES = ["postgres", "redis"]

PATIENCE = 30.0
"""Seconds within which something comes that must; machines that run tests are busy."""
NOTHING = 0.5
"""Seconds within which nothing comes, where nothing can."""

KNOCK = """
import json, socket, sys
try:
    with socket.create_connection((sys.argv[1], 6379), float(sys.argv[2])) as client:
        client.sendall(b"PING\\r\\n")
        said = "answered" if client.recv(100) else "closed"
except TimeoutError:
    said = "nothing"
except ConnectionRefusedError:
    said = "refused"
print(json.dumps(said))
"""


def from_postgres(env: Environment, patience: float = PATIENCE) -> str:
    """What becomes of a new connection from PostgreSQL's container to Redis; `nothing` when that was all in so long."""
    site = wires.site(env, "redis")
    networks = site.hands.inspect(site.container.id)["NetworkSettings"]["Networks"]
    address = next(iter(networks.values()))["IPAddress"]
    return str(json.loads(wires.inside(env, "postgres", "python3", "-c", KNOCK, address, f"{patience}")))


def new_from_here(env: Environment, patience: float = PATIENCE) -> str:
    """The name of the error that a new client on this machine gets from Redis; empty without one."""
    with env.redis.client(retry=None, socket_timeout=patience) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            return type(error).__name__
    return ""


@pytest.fixture
def live(env: Environment) -> Iterator[redis.Redis]:
    """A client that is connected."""
    with env.redis.client(retry=None, socket_timeout=PATIENCE) as client:
        client.ping()
        yield client


@pytest.fixture
def hasty(env: Environment) -> Iterator[redis.Redis]:
    """One that is connected and soon gives up."""
    with env.redis.client(retry=None, socket_timeout=2) as client:
        client.ping()
        yield client


def backends(env: Environment, name: str) -> int:
    """How many sessions of that application the server knows."""
    with env.postgres.connect(autocommit=True) as db:
        row = db.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]).fetchone()
    assert row
    return int(row[0])


def test_new_connections_are_refused_and_live_ones_go_on(env: Environment, live: redis.Redis) -> None:
    """Another container is refused; on the host Docker's proxy takes the connection and closes it."""
    assert from_postgres(env) == "answered"
    with env.chaos.refuse("redis"):
        assert from_postgres(env) == "refused"
        assert new_from_here(env) == "ConnectionError"
        assert live.ping()
    assert from_postgres(env) == "answered"
    assert new_from_here(env) == ""


def test_what_is_slow_is_refused_too(env: Environment) -> None:
    """The kernel drops a queued packet that shares the entry of a connection it has not confirmed yet."""
    with env.chaos.latency("redis", delay="20ms"), env.chaos.refuse("redis"):
        assert from_postgres(env) == "refused"
    assert from_postgres(env) == "answered"


def test_one_peer_alone_is_refused(env: Environment) -> None:
    """The host goes on; a port at which nobody listens cannot be shown to be refused."""
    with env.chaos.refuse("redis", peer="postgres"):
        assert from_postgres(env) == "refused"
        assert new_from_here(env) == ""
    with pytest.raises(FaultDidNotBite, match=r"cannot be opened without it either \(refused\)"):
        env.chaos.refuse("redis", peer="postgres", port="5000")
    assert from_postgres(env) == "answered"


@pytest.mark.parametrize(("fault", "seen"), [("refuse", "refused"), ("black-hole", "nothing")])
def test_what_a_service_opens_itself_is_hurt_and_what_others_open_is_not(
    env: Environment, fault: str, seen: str
) -> None:
    """Out of PostgreSQL to Redis; PostgreSQL itself is reached as before."""
    with env.chaos.call(fault, "postgres", {"direction": "out", "peer": "redis"}):
        assert from_postgres(env, NOTHING if seen == "nothing" else PATIENCE) == seen
        assert new_from_here(env) == ""
        assert backends(env, "nobody") == 0
    assert from_postgres(env) == "answered"


def test_in_a_black_hole_everybody_waits_and_goes_on_afterwards(env: Environment, hasty: redis.Redis) -> None:
    """A statement of a live connection that was on its way is answered when it is over."""
    with env.postgres.connect(autocommit=True) as db:
        answers: list[object] = []
        waiting = threading.Thread(target=lambda: answers.append(db.execute("SELECT 1").fetchone()), daemon=True)
        with env.chaos.black_hole("redis"), env.chaos.black_hole("postgres"):
            waiting.start()
            assert from_postgres(env, NOTHING) == "nothing"
            assert new_from_here(env, NOTHING) == "TimeoutError"
            with pytest.raises(redis.TimeoutError):
                hasty.ping()
            assert answers == []
        waiting.join(60)
        assert answers == [(1,)]
    assert hasty.ping()


def test_a_black_hole_for_new_connections_leaves_live_ones_alone(env: Environment, live: redis.Redis) -> None:
    """Only first packets vanish."""
    with env.chaos.black_hole("redis", connections="new"):
        assert from_postgres(env, NOTHING) == "nothing"
        assert live.ping()
    assert from_postgres(env) == "answered"


def test_live_connections_are_cut_once_and_their_transactions_are_rolled_back(env: Environment) -> None:
    """A new connection is accepted at once, and nothing is in force any more."""
    with env.postgres.connect(autocommit=True) as other:
        other.execute("DROP TABLE IF EXISTS cut; CREATE TABLE cut (id int)")
    with closing(env.postgres.connect()) as db:
        db.execute("INSERT INTO cut VALUES (1)")
        cutting = env.chaos.cut("postgres")
        assert cutting.evidence["cut"] >= 1
        cutting.heal()
        with pytest.raises(psycopg.OperationalError):
            db.execute("SELECT 1")
    assert env.chaos.status() == []
    with env.postgres.connect(autocommit=True) as new:
        assert new.execute("SELECT count(*) FROM cut").fetchone() == (0,)
        new.execute("DROP TABLE cut")


def test_a_cut_of_one_peer_leaves_the_others_connected(
    env: Environment, live: redis.Redis, eventually: Callable[..., None]
) -> None:
    """Redis's connections with PostgreSQL's container, of which there are none; the host's stays."""
    number = live.client_id()
    env.chaos.cut("redis", peer="postgres").heal()
    assert live.client_id() == number
    env.chaos.cut("redis", peer="host").heal()
    eventually(lambda: _another(live, number))


def test_without_ss_a_live_connection_is_reset_when_it_next_says_something(env: Environment) -> None:
    """New ones are accepted, also while it lasts. What it says may be that it got its last answer: so by a client that
    does not look at its connection, and connects again in silence, before it uses it.
    """
    with env.redis.client(retry=None, socket_timeout=PATIENCE, single_connection_client=True) as live:
        live.ping()
        with env.chaos.cut("redis", backend="nft"):
            with pytest.raises(redis.ConnectionError):
                live.ping()
            assert live.ping()
            assert from_postgres(env) == "answered"


def test_a_service_that_forgot_its_connections_lets_their_clients_wait(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """The server has no such session; the client's connection looks open, and is reset when it is over."""
    with closing(env.postgres.connect(autocommit=True, application_name="forgotten")) as db:
        with env.chaos.half_open("postgres"):
            eventually(lambda: _equal(backends(env, "forgotten"), 0))
            db.pgconn.send_query(b"SELECT 1")
            db.pgconn.flush()
            time.sleep(0.3)  # nothing may come: there is nothing to wait for
            db.pgconn.consume_input()
            assert db.pgconn.is_busy()
        # TCP sends the statement again, in longer and longer steps, until it is told.
        eventually(lambda: _told(db))


def test_a_service_that_does_not_hear_that_its_clients_leave_keeps_them(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """A session without a client, until it is over."""
    with env.chaos.half_open("postgres", forgets="clients"):
        env.postgres.connect(autocommit=True, application_name="left").close()
        # PostgreSQL's clients say goodbye in a message of its own, which it hears: what closes without is kept.
        program = (
            f"import psycopg, os; db = psycopg.connect({env.postgres.url!r}, application_name='gone'); os._exit(0)"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)
        eventually(lambda: _equal(backends(env, "left"), 0))
        assert backends(env, "gone") == 1
    eventually(lambda: _equal(backends(env, "gone"), 0))


def test_the_end_of_a_connection_comes_late(env: Environment, eventually: Callable[..., None]) -> None:
    """The answer comes at once, but where the machine is busy; that the server has closed comes later, each time."""
    at, ends = env.redis.endpoint, list[float]()

    def at_once() -> None:
        with socket.create_connection((at.host, at.port), 30) as client:
            begin = time.monotonic()
            client.sendall(b"QUIT\r\n")
            assert client.recv(100) == b"+OK\r\n"
            answered = time.monotonic() - begin
            assert client.recv(100) == b""
            ends.append(time.monotonic() - begin)
        assert answered < 0.7

    with env.chaos.slow_close("redis", delay="700ms"):
        eventually(at_once)
    assert min(ends) >= 0.7


def test_names_are_not_found_late_or_never_answered(env: Environment, engine: docker.DockerClient) -> None:
    """Asked from inside the container; what is connected by its address goes on, and other services still find it."""
    container = engine.containers.get(f"envctl-{env.name}-redis-1")

    def look_up(patience: float = PATIENCE) -> tuple[int, float]:
        begin = time.monotonic()
        asked = ["timeout", f"{patience:g}", "getent", "hosts", "postgres"]
        return container.exec_run(asked).exit_code, time.monotonic() - begin

    assert look_up()[0] == 0
    with env.chaos.break_dns("redis"):
        assert look_up()[0] == 2
        assert from_postgres(env) == "answered"
        other = engine.containers.get(f"envctl-{env.name}-postgres-1")
        assert other.exec_run(["getent", "hosts", "redis"]).exit_code == 0
    with env.chaos.break_dns("redis", mode="time-out"):
        assert look_up(2)[0] == 124
    with env.chaos.break_dns("redis", mode="delay", delay="600ms"):
        code, took = look_up()
        assert code == 0
        assert took >= 0.6
    assert look_up()[0] == 0


@pytest.mark.parametrize("fault", ["slow-close", "refuse"])
def test_a_restart_ends_it_and_it_is_told_as_lost_at_once(
    env: Environment, engine: docker.DockerClient, eventually: Callable[..., None], fault: str
) -> None:
    """The network went with the container's processes; nobody has to wait until its time is over to hear of it."""
    injection = env.chaos.call(fault, "redis", {}, duration="1h")
    engine.containers.get(f"envctl-{env.name}-redis-1").restart(timeout=5)
    eventually(lambda: _over(injection))
    assert injection.heal().stage == "lost"
    env.wait(["redis"])
    assert from_postgres(env) == "answered"


def test_what_the_killed_sidecar_held_is_told_as_lost_and_what_the_kernel_holds_stays(
    env: Environment, engine: docker.DockerClient, eventually: Callable[..., None]
) -> None:
    """A queue lets everything pass when its program is gone; a table needs nobody."""
    held, kept = env.chaos.slow_close("redis", duration="1h"), env.chaos.refuse("redis", peer="postgres", duration="1h")
    engine.containers.get(f"envctl-{env.name}-surgeon").kill()
    eventually(lambda: _over(held))
    assert held.heal().stage == "lost"
    assert from_postgres(env) == "refused"
    assert kept.heal().stage == "healed"
    assert from_postgres(env) == "answered"


def test_what_is_impossible_is_refused_with_all_reasons(env: Environment) -> None:
    """Before anything is touched."""
    with pytest.raises(ConfigurationError) as caught:
        env.chaos.refuse("redis", direction="out", port="0", backend="netem")
    for said in ("--backend: wanted one of nft, proxy, found 'netem'", "--port: wanted port numbers", "with --peer"):
        assert said in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"wanted one of host, postgres, found 'postgers'"):
        env.chaos.refuse("redis", peer="postgers")
    with pytest.raises(ConfigurationError, match="another service than redis itself"):
        env.chaos.cut("redis", peer="redis")
    with pytest.raises(ConfigurationError, match="wanted nfqueue for --mode delay, found 'nft'"):
        env.chaos.break_dns("redis", mode="delay", backend="nft")
    assert env.chaos.status() == []


def _another(live: redis.Redis, number: int) -> None:
    """redis-py looks at a connection before it uses it, and opens another in silence; or its end comes just then."""
    try:
        assert live.client_id() != number
    except redis.ConnectionError as error:
        raise AssertionError(str(error)) from error


def _told(db: psycopg.Connection[tuple[object, ...]]) -> None:
    try:
        db.pgconn.consume_input()
    except psycopg.OperationalError:
        return
    raise AssertionError("its connection still looks open")


def _over(injection: Injection) -> None:
    assert not injection.in_force


def _equal(found: object, wanted: object) -> None:
    assert found == wanted

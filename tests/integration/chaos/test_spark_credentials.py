"""Revoking Spark's token: live and new sessions are refused as UNAUTHENTICATED from everywhere, and none is lost."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from pyspark.errors.exceptions.connect import SparkConnectGrpcException

from envctl.engine.gates import inside
from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.services.spark_connect.chaos.witness import Witness

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import docker
    from pyspark.sql import SparkSession

    from envctl.chaos.injection import Injection
    from envctl.environment import Environment
    from envctl.site import Site

SERVICES = ["spark-connect"]

PEER = """
import socket, sys
def frame(kind, flags, stream, content):
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content
def literal(name, value):
    return b"\\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
path = b"/spark.connect.SparkConnectService/AnalyzePlan"
headers = b"\\x83\\x86" + literal(b":path", path) + literal(b":authority", b"spark-connect:15002")
headers += literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers")
headers += literal(b"authorization", b"Bearer " + sys.argv[1].encode())
call = frame(1, 4, 1, headers) + frame(0, 1, 1, bytes(5))
with socket.create_connection(("spark-connect", 15002), 30) as peer:
    peer.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, b"") + call)
    said = b""
    while b"grpc-message" not in said and b"Bad" not in said and (more := peer.recv(65536)):
        said += more
print(said)
"""
"""A client in another container, with nothing but sockets: one call with a token, and what came back."""


@pytest.fixture
def session(env: Environment) -> Iterator[SparkSession]:
    """A live session with a temporary view of seven rows."""
    live = env.spark.session()
    live.range(7).createOrReplaceTempView("seven")
    assert _count(live) == 7
    yield live
    env.chaos.heal()
    live.stop()


def _count(session: SparkSession) -> int:
    return int(session.sql("SELECT count(*) AS n FROM seven").collect()[0]["n"])


def _site(injection: Injection) -> Site:
    return injection._site


def _network(env: Environment) -> tuple[str, str]:
    """The rules and the listening sockets in the server's network namespace."""
    site = env.chaos._ward.site("spark-connect")
    pid = site.hands.pid(site.container.id)
    rules = site.hands.operate(env.name, inside(pid, "sh", "-c", "nft -s list ruleset 2>/dev/null"))
    sockets = site.hands.operate(env.name, inside(pid, "ss", "-Hltn"))
    assert (rules.exit_code, sockets.exit_code) == (0, 0)
    # Not how many wait to be accepted.
    return rules.output, "\n".join(sorted(line.split()[3] for line in sockets.output.splitlines()))


def _in_another_container(env: Environment, engine: docker.DockerClient) -> str:
    """What a client on the environment's own network is told."""
    site = env.chaos._ward.site("spark-connect")
    [network] = site.hands.inspect(site.container.id)["NetworkSettings"]["Networks"]
    token = site.at.app.password if site.at.app else ""
    return engine.containers.run(
        site.hands.inspect(site.hands.surgeon(env.name))["Config"]["Image"],
        ["python3", "-c", PEER, token],
        network=network,
        remove=True,
    ).decode()


def test_a_live_session_and_a_new_one_are_refused_and_the_live_one_goes_on_with_its_view(
    env: Environment, session: SparkSession
) -> None:
    """The server itself was never touched."""
    with env.chaos.revoke_credentials("spark-connect") as revoked:
        assert revoked.evidence["live session"] == "authentication refused: Invalid authentication token"
        with pytest.raises(SparkConnectGrpcException, match="UNAUTHENTICATED"):
            _count(session)
        another = env.spark.session()
        with pytest.raises(SparkConnectGrpcException, match="UNAUTHENTICATED"):
            another.range(1).collect()
    assert _count(session) == 7
    assert another.range(3).count() == 3
    another.stop()
    assert revoked.healed is not None
    assert revoked.healed.evidence["session"] == "the same"


def test_a_query_that_runs_loses_its_client(env: Environment, session: SparkSession) -> None:
    """Its connection is cut in the middle of its rows, and it is not let in again."""
    rows = session.range(0, 10_000_000, 1, 64).toLocalIterator()
    assert next(rows)["id"] == 0
    with env.chaos.revoke_credentials("spark-connect") as revoked:
        assert revoked.evidence["connections cut"] >= 1
        with pytest.raises(SparkConnectGrpcException, match="UNAUTHENTICATED"):
            for _ in rows:
                pass
    session.interruptAll()
    assert _count(session) == 7


def test_other_containers_are_refused_too(env: Environment, engine: docker.DockerClient) -> None:
    """What comes over the environment's own network meets the same gate."""
    assert "Invalid authentication token" not in _in_another_container(env, engine)
    with env.chaos.revoke_credentials("spark-connect"):
        assert "Invalid authentication token" in _in_another_container(env, engine)
    assert "Invalid authentication token" not in _in_another_container(env, engine)


def test_the_servers_network_is_the_same_before_and_after(env: Environment) -> None:
    """Not a rule, chain, table or socket is left, and none of the engine's own is missing."""
    before = _network(env)
    with env.chaos.revoke_credentials("spark-connect") as revoked:
        rules, sockets = _network(env)
        assert f"table inet {revoked.evidence['gate']}" in rules
        assert set(before[0].splitlines()) <= set(rules.splitlines())
        assert len(sockets.splitlines()) == len(before[1].splitlines()) + 1
    assert _network(env) == before


def test_calls_larger_than_a_connections_window_are_refused_one_after_the_other(env: Environment) -> None:
    """What nobody reads does not stop the next call."""
    with env.chaos.revoke_credentials("spark-connect"):
        import grpc

        with grpc.insecure_channel(env.spark.endpoint.address) as channel:
            call = channel.unary_unary("/spark.connect.SparkConnectService/AnalyzePlan")
            for _ in range(5):
                with pytest.raises(grpc.RpcError) as refused:
                    call(bytes(1_000_000), timeout=60)
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    session: SparkSession,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """Another process takes the gate down, and finds the very session again."""
    before = _network(env)
    with injected("env.chaos.revoke_credentials('spark-connect', duration='1h').__enter__()") as other:
        [entry] = env.chaos.status()
        with pytest.raises(SparkConnectGrpcException, match="UNAUTHENTICATED"):
            _count(session)
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert [line["event"] for line in env.chaos.history() if line["id"] == entry.id][-1] == "fault.healed"
    assert _count(session) == 7
    assert _network(env) == before


def test_healing_removes_what_a_killed_gate_has_left(
    env: Environment, session: SparkSession, eventually: Callable[..., None]
) -> None:
    """Its rules stay, and soon lead nobody to it any more."""
    before = _network(env)
    with env.chaos.revoke_credentials("spark-connect") as revoked:
        site = _site(revoked)
        found = site.hands.operate(env.name, ["cat", f"/run/{revoked.evidence['gate']}.json"])
        pid = json.loads(found.output)["pid"]
        assert site.hands.operate(env.name, ["bash", "-c", f"kill -KILL {pid}"]).exit_code == 0
        assert f"table inet {revoked.evidence['gate']}" in _network(env)[0]
        eventually(lambda: _assert(_count(session) == 7))
    assert _network(env) == before
    assert _count(session) == 7


def test_the_gate_opens_by_itself_when_nobody_is_left_to_heal(
    env: Environment, session: SparkSession, eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a time limit of its own, a little after the fault's."""
    from envctl.chaos import injecting
    from envctl.services import gated

    monkeypatch.setattr(injecting.warden, "ensure", lambda _: None)
    monkeypatch.setattr(gated, "_GRACE", 12)
    before = _network(env)
    _end_warden(env)
    env.chaos.revoke_credentials("spark-connect", duration="1s")
    assert len(env.chaos.status()) == 1
    eventually(lambda: _assert(_network(env) == before))
    assert _count(session) == 7
    assert len(env.chaos.status()) == 1, "nobody healed it"
    [healed] = env.chaos.heal()
    assert healed.stage == "healed"


def test_a_server_that_is_started_anew_meanwhile_makes_it_lost(env: Environment) -> None:
    """Its gate went with its network, and so did its sessions."""
    revoked = env.chaos.revoke_credentials("spark-connect")
    _site(revoked).hands.restart(_site(revoked).container.id, 5)
    healed = revoked.heal()
    assert (healed.stage, "the gate went with the network" in healed.problem) == ("lost", True)
    env.wait_recovered("spark-connect", timeout=120)


def test_a_second_one_is_refused_while_the_first_is_in_force(env: Environment) -> None:
    """They would take the same from the same."""
    with env.chaos.revoke_credentials("spark-connect") as first, pytest.raises(FaultConflict, match=first.id):
        env.chaos.revoke_credentials("spark-connect")


def test_another_user_cannot_be_revoked_and_nothing_is_changed(env: Environment) -> None:
    """Spark knows nobody's name."""
    before = _network(env)
    with pytest.raises(FaultUnfit, match="knows one token"):
        env.chaos.revoke_credentials("spark-connect", user="somebody")
    with pytest.raises(ConfigurationError, match="--mode: wanted one of token"):
        env.chaos.revoke_credentials("spark-connect", mode="nonsense")
    assert env.chaos.status() == []
    assert _network(env) == before


def test_a_session_that_is_not_the_one_from_before_is_told(env: Environment) -> None:
    """The proof of healing can fail: a session that ended is another one when it comes back."""
    app = env.chaos._ward.site("spark-connect").at.app
    assert app is not None
    witness = Witness(env.spark.endpoint, app)
    first = witness.ask()
    assert witness.ask() == first
    witness.release()
    again = Witness(env.spark.endpoint, app)
    assert again.ask() != first
    again.release()


def _end_warden(env: Environment) -> None:
    """End the environment's own warden, as a crash would."""
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if env.name in words and any("warden" in word for word in words):
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)


def _assert(condition: bool) -> None:
    assert condition

"""Requests to MinIO that fail, on bad days: who dies meanwhile, what is impossible, and what is in the way."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from envctl.chaos import injecting
from envctl.chaos.ward import Ward
from envctl.engine.gates import program
from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.faults.ways.fail_requests import FailRequests
from envctl.services import gated
from tests.integration.chaos.s3_clients import PATIENCE, SIZE, network, once, read, refused, stored, write

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import minio

    from envctl.environment import Environment

SERVICES = ["minio"]


@pytest.fixture
def key(env: Environment) -> str:
    """An object of SIZE bytes, of this test alone."""
    return stored(env)


@pytest.fixture
def live(env: Environment, key: str) -> minio.Minio:
    """A client that tries once, on a connection that is there already."""
    one = once(env)
    assert read(one, key) == SIZE
    return one


def kill_gate(env: Environment, name: str) -> None:
    """As the kernel would."""
    one = Ward(env.name).site("minio")
    found = one.hands.operate(env.name, ["cat", f"/run/{name}.json"])
    assert one.hands.operate(env.name, ["bash", "-c", f"kill -KILL {json.loads(found.output)['pid']}"]).exit_code == 0


@pytest.mark.parametrize("steps", range(5))
def test_another_process_heals_it_wherever_the_injector_was_killed(
    env: Environment, key: str, live: minio.Minio, steps: int
) -> None:
    """After planning, acting, proving, undoing, and proving again; all that is left then is the journal."""
    fault, before, one = FailRequests(), network(env), Ward(env.name).site("minio")
    plan = json.loads(json.dumps(fault.plan(one)))
    for step in (fault.apply, fault.bites, fault.undo, fault.recovered)[:steps]:
        step(one, plan)
    elsewhere = Ward(env.name).site("minio")
    fault.undo(elsewhere, plan)
    fault.undo(elsewhere, plan)
    fault.recovered(elsewhere, plan)
    assert network(env) == before
    assert read(live, key) == SIZE


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    key: str,
    live: minio.Minio,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The warden takes the gate down."""
    before = network(env)
    with injected("env.chaos.fail_requests('minio', duration='1h').__enter__()") as other:
        with refused("SlowDown"):
            read(live, key)
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert read(live, key) == SIZE
    assert network(env) == before


@pytest.mark.parametrize("victim", ["gate", "surgeon"])
def test_a_gate_that_is_killed_in_the_middle_of_a_body_lets_new_requests_pass(
    env: Environment, key: str, live: minio.Minio, eventually: Callable[..., None], victim: str
) -> None:
    """The transfer breaks; healing tells that the gate had ended, and removes what it has left."""
    before, one = network(env), Ward(env.name).site("minio")
    with env.chaos.fail_requests("minio", how="slow-body", rate="10kB") as fault:
        answer = live.get_object("app", key)
        assert answer.read(1000)
        if victim == "gate":
            kill_gate(env, fault.evidence["gate"])
        else:
            one.hands.kill(one.hands.surgeon(env.name))
        with pytest.raises(urllib3.exceptions.HTTPError):
            answer.read()
        eventually(lambda: _assert(_reads(env, key)))
    assert fault.healed is not None
    assert fault.healed.stage == "healed"
    assert fault.healed.evidence["gate"] == "had ended by itself: requests passed"
    assert network(env) == before


def test_the_gate_goes_by_itself_when_nobody_is_left_to_heal(
    env: Environment,
    key: str,
    live: minio.Minio,
    eventually: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A little after the fault's time; that it is in force is seen before, however busy the machine is."""
    monkeypatch.setattr(injecting.warden, "ensure", lambda _: None)
    monkeypatch.setattr(gated, "_GRACE", 8)
    before = network(env)
    _end_warden(env)
    fault = env.chaos.fail_requests("minio", duration="1s")
    eventually(lambda: _assert(network(env) == before))
    assert read(live, key) == SIZE
    assert [entry.id for entry in env.chaos.status()] == [fault.id], "nobody healed it"
    assert fault.heal().stage == "healed"


def test_a_server_that_is_killed_behind_the_gate_takes_the_fault_with_it(env: Environment, key: str) -> None:
    """Its clients lose their connections, and it is lost; started anew it answers."""
    write(once(env), key, 50 * SIZE)
    fault = env.chaos.fail_requests("minio", how="slow-body", rate="10kB", duration="10m")
    answer = once(env).get_object("app", key)
    assert answer.read(1000)
    one = Ward(env.name).site("minio")
    one.hands.kill(one.container.id)
    with pytest.raises(urllib3.exceptions.HTTPError):
        answer.read()
    one.hands.start(one.container.id)
    healed = fault.heal()
    assert (healed.stage, "started anew" in healed.problem) == ("lost", True)
    env.wait_recovered("minio", timeout=PATIENCE)
    assert read(once(env), key) == 50 * SIZE


def test_what_needs_the_same_place_is_refused_meanwhile(env: Environment) -> None:
    """A second one, and who waits for a multipart upload."""
    with env.chaos.fail_requests("minio") as first:
        with pytest.raises(FaultConflict, match=first.id):
            env.chaos.fail_requests("minio", how="forbidden")
        with pytest.raises(FaultConflict, match=first.id):
            env.chaos.kill_mid_transaction("minio")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"how": "slowdown", "every": 0}, ["--how: wanted one of slow-down, ", "--every: wanted 1 or more, found 0"]),
        ({"method": "GET,FETCH", "bucket": "App"}, ["--method: wanted some of GET, PUT", "'FETCH'", "--bucket: "]),
        ({"after": "1kB", "rate": 5}, ["--after: wanted with cut-body or internal-error", "--rate: wanted with slow"]),
        ({"how": "slow-body", "rate": 0, "method": "HEAD"}, ["--rate: wanted 1 or more", "--method: ", "'HEAD'"]),
        ({"how": "missing-key", "method": "PUT"}, ["--method: wanted some of GET, HEAD, read with missing-key"]),
        ({"how": "stale-listing", "method": "write"}, ["--method: wanted some of GET, list with stale-listing"]),
        ({"every": "x", "delay": "soon", "after": "much"}, ["--every", "--delay", "--after"]),
    ],
    ids=str,
)
def test_impossible_parameters_are_told_all_at_once(
    env: Environment, parameters: dict[str, Any], words: list[str]
) -> None:
    """Nothing is changed: exit code 2."""
    before = network(env)
    with pytest.raises(ConfigurationError) as error:
        env.chaos.fail_requests("minio", **parameters)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert error.value.exit_code == 2
    assert (env.chaos.status(), network(env)) == ([], before)


def _reads(env: Environment, key: str) -> bool:
    try:
        return read(once(env), key) == SIZE
    except (urllib3.exceptions.HTTPError, OSError):
        return False


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


def test_a_kernel_without_the_means_is_told(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """By nftables' own words; nothing is left."""
    before = network(env)
    monkeypatch.setattr(gated, "program", lambda name: program(name).replace("type nat hook", "type nought hook"))
    with pytest.raises(FaultUnfit, match="nftables in the engine's kernel"):
        env.chaos.fail_requests("minio")
    assert (env.chaos.status(), network(env)) == ([], before)

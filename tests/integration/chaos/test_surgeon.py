"""How the surgeon is asked: by a line that each process keeps for itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envctl.chaos.ward import Ward
from envctl.protocols import NotReady

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import docker

    from envctl.environment import Environment

SERVICES = ["redis"]


def servers(env: Environment, engine: docker.DockerClient) -> list[int]:
    """The processes in the surgeon that wait for calls."""
    [surgeon] = engine.containers.list(filters={"name": f"envctl-{env.name}-surgeon"})
    parent = surgeon.attrs["State"]["Pid"]
    shim = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]
    found = Path(f"/proc/{shim}/task").glob("*/children")
    children = [int(pid) for one in found for pid in one.read_text().split()]
    return [pid for pid in children if b"/run/envctl-operations-" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_line_lasts_as_long_as_who_asks(
    env: Environment,
    engine: docker.DockerClient,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """Also where that is killed; several calls, and several faults, need but one."""
    faults = "for _ in range(3): env.chaos.refuse('redis').heal()"
    with injected(f"{faults}\nenv.chaos.refuse('redis', duration='1h').__enter__()") as other:
        [line] = servers(env, engine)
        other.kill()
        eventually(lambda: _equal(env.chaos.status(), []))
        eventually(lambda: _equal({line} & {*servers(env, engine)}, set()))  # the warden may have one


def test_who_has_lost_its_surgeon_asks_the_next(env: Environment, engine: docker.DockerClient) -> None:
    """In the middle of a block, too: what it had put in force is told as lost, or healed."""
    hands = Ward(env.name).hands
    assert hands.operate(env.name, ["echo", "one"]).output == "one\n"
    engine.containers.get(f"envctl-{env.name}-surgeon").remove(force=True)
    assert hands.operate(env.name, ["echo", "two"]).output == "two\n"
    fault = env.chaos.refuse("redis", duration="1h")
    engine.containers.get(f"envctl-{env.name}-surgeon").remove(force=True)
    assert fault.heal().stage == "healed"


def test_calls_from_many_threads_do_not_meet(env: Environment) -> None:
    """Each gets its own answer, whole; also a long one, and one of a command that leaves a child behind."""
    hands = Ward(env.name).hands
    script = 'sleep 30 & printf "%s%0200000d" "$1" 0'
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda word: hands.operate(env.name, ["sh", "-c", script, "sh", f"{word}-"]), range(40)))
    assert [one.output for one in told] == [f"{word}-{0:0200000d}" for word in range(40)]


def test_what_a_command_says_and_how_it_ends_is_told(env: Environment) -> None:
    """Its code, both its streams, its variables, and that there is none of that name."""
    hands = Ward(env.name).hands
    done = hands.operate(env.name, ["sh", "-c", "echo $WORD; echo err >&2; exit 3"], {"WORD": "out"})
    assert (done.exit_code, done.output) == (3, "out\nerr\n")
    assert hands.operate(env.name, ["no-such-program"]).exit_code == 127
    with pytest.raises(NotReady, match="No such file"):
        hands.ask(env.name, ["no-such-program"])
    with pytest.raises(NotReady, match="AttributeError"):
        hands.operation(env.name, "commands.none")


def _equal(one: object, other: object) -> None:
    assert one == other

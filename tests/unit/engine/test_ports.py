"""Host ports: the standard one where it is free, below the ephemeral range where it is not, never somebody else's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from envctl.engine import ports
from envctl.engine.ports import EPHEMERAL_LOW, LOWEST, Wish, choose, is_free, listener, pinned_by
from envctl.errors import PortTaken
from envctl.model import PortPolicy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

LISTEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def choice(
    *wishes: Wish, policy: PortPolicy = PortPolicy.PREFER, name: str = "shop", avoid: Collection[int] = ()
) -> tuple[list[int], list[tuple[int, str]]]:
    """The ports chosen, in the order of the wishes, and each wish that moved with its holder."""
    chosen, moved = choose(wishes, policy, name, avoid, lambda port: f"holder of {port}")
    return [chosen[wish] for wish in wishes], [(move.wish.preferred, move.holder) for move in moved]


def test_a_free_standard_port_is_taken(free: int) -> None:
    """People expect it there."""
    assert choice(Wish("redis", "redis", free)) == ([free], [])


def test_a_taken_standard_port_moves_and_the_holder_is_named(taken: int) -> None:
    """To a free one below the ephemeral range."""
    (port,), moved = choice(Wish("redis", "redis", taken))

    assert LOWEST <= port < EPHEMERAL_LOW
    assert is_free(port)
    assert moved == [(taken, f"holder of {taken}")]


def test_strict_fails_instead_and_names_every_taken_port(taken: int, free: int) -> None:
    """All at once, each with its holder."""
    with socket.create_server(("127.0.0.1", 0)) as second:
        other = second.getsockname()[1]
        wishes = [Wish("redis", "redis", taken), Wish("minio", "minio", free), Wish("kafka", "kafka", other)]
        with pytest.raises(PortTaken) as caught:
            choice(*wishes, policy=PortPolicy.STRICT)

    assert caught.value.found == (
        f"{taken} for redis is held by holder of {taken}; {other} for kafka is held by holder of {other}"
    )


def test_auto_never_takes_the_standard_port(free: int) -> None:
    """Nor does it say that anything moved."""
    (port,), moved = choice(Wish("redis", "redis", free), policy=PortPolicy.AUTO)

    assert port != free
    assert moved == []


def test_a_port_that_the_user_named_is_tried_under_every_policy(free: int) -> None:
    """A wish from the configuration is more than the standard."""
    for policy in PortPolicy:
        assert choice(Wish("redis", "redis", free, fixed=True), policy=policy) == ([free], [])


@pytest.mark.parametrize("policy", list(PortPolicy))
def test_a_service_that_names_no_host_port_gets_a_pinned_one(policy: PortPolicy) -> None:
    """Never 0, with which the engine would choose another at every start; and it moved from nowhere."""
    (port,), moved = choice(Wish("api", "api", 0), policy=policy)

    assert LOWEST <= port < EPHEMERAL_LOW
    assert moved == []


def test_ports_that_others_have_pinned_are_left_alone(free: int) -> None:
    """Though nobody listens there now: its owner is stopped and comes back."""
    (port,), moved = choice(Wish("redis", "redis", free), avoid=[free])

    assert port != free
    assert moved == [(free, f"holder of {free}")]


def test_no_port_is_chosen_twice() -> None:
    """All wishes of one choice differ, also those that prefer the same port."""
    wishes = [Wish(str(number), str(number), 0) for number in range(20)]
    chosen, _ = choice(*wishes)
    same, _ = choice(Wish("a", "a", chosen[0]), Wish("b", "b", chosen[0]))

    assert len(set(chosen)) == 20
    assert same[0] != same[1]


def test_environments_begin_their_search_in_different_places() -> None:
    """Eight that start at once seldom try the same port."""
    firsts = {choice(Wish("redis", "redis", 0), name=f"env-{number}")[0][0] for number in range(8)}

    assert len(firsts) == 8


def test_the_search_stays_below_the_kernels_own_ports(tmp_path: Path) -> None:
    """As /proc has it; the usual value where it says nothing."""
    setting = tmp_path / "range"
    setting.write_text("40000\t60999\n")

    assert ports._ephemeral_low(setting) == 40000
    assert ports._ephemeral_low(tmp_path / "none") == EPHEMERAL_LOW
    assert max(ports._candidates("shop")) < ports._ephemeral_low()


def test_no_free_port_at_all_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not an endless search."""
    monkeypatch.setattr(ports, "_candidates", lambda _: iter(()))
    with pytest.raises(PortTaken, match="a free host port for redis"):
        choice(Wish("redis", "redis", 0))


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])  # noqa: S104 - somebody else's server
def test_a_port_with_a_listener_is_not_free(address: str) -> None:
    """Whatever address it listens on, if that covers 127.0.0.1."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family, dualstack_ipv6=":" in address) as server:
        assert not is_free(server.getsockname()[1])


def test_a_port_whose_server_has_just_ended_is_free() -> None:
    """Its connections linger in the kernel; a new server may listen all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        server.accept()[0].close()
    client.close()

    assert is_free(port)


def test_looking_does_not_take_the_port(free: int) -> None:
    """It can be looked at twice, then used."""
    assert is_free(free)
    assert is_free(free)
    socket.create_server(("127.0.0.1", free)).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_port_that_only_root_may_open_is_free_for_the_engine() -> None:
    """The engine opens it, not the user who asks."""
    port = next(port for port in range(1023, 600, -1) if is_free(port))
    code = f"import os; from envctl.engine.ports import is_free; os.setuid(65534); print(is_free({port}))"
    with socket.create_server(("127.0.0.1", port)):
        taken = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    free = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert (taken.stdout.strip(), free.stdout.strip()) == ("False", "True")


def test_a_listening_process_is_found_by_name_and_pid() -> None:
    """So that a user knows what to stop."""
    with subprocess.Popen([sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        found = listener(port)
        process.kill()

    assert found.lower().startswith("python")
    assert found.endswith(f" (pid {process.pid})")


def test_a_port_without_a_listener_has_no_holder(free: int) -> None:
    """Nothing is invented."""
    assert listener(free) == ""


def test_pins_of_others_are_known_by_port() -> None:
    """So that the holder can be named."""
    assert pinned_by({"a": {"redis": {"redis": 1}}, "b": {"kafka": {"kafka": 2, "sasl": 3}}}) == {
        1: "a",
        2: "b",
        3: "b",
    }

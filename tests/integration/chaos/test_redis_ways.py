"""Redis hurt by its settings and its role: what clients are told, live and new, and that all is equal afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import redis
from redis.exceptions import ExecAbortError, OutOfMemoryError, ReadOnlyError

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.faults.ways.cut_output_buffers import CutOutputBuffers
from envctl.faults.ways.exhaust_connections import ExhaustConnections
from envctl.faults.ways.out_of_memory import OutOfMemory
from envctl.faults.ways.read_only import ReadOnly
from tests.integration.chaos.redis_clients import boss, configure, configured

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envctl.environment import Environment
    from envctl.faults.ways.way import OwnWay

SERVICES = ["redis"]
FAULTS: list[type[OwnWay]] = [OutOfMemory, ReadOnly, CutOutputBuffers, ExhaustConnections]
NAMES = [fault.name for fault in FAULTS]
CLOSED = (redis.ConnectionError, ConnectionResetError)


def settings(env: Environment) -> dict[str, str]:
    """All of the server's settings, and its role."""
    with boss(env) as client:
        role = str(client.info("replication")["role"])
        return {**client.config_get("*"), "role": role}


@pytest.fixture
def same(env: Environment) -> Iterator[None]:
    """The settings after the test are those of before, and so is the data, which a client still reads."""
    before = settings(env)
    with env.redis.client(retry=None, single_connection_client=True) as witness:
        witness.set("kept", "1")
        yield
        assert settings(env) == before
        assert witness.get("kept") == b"1"


def refuses(env: Environment, live: redis.Redis, error: type[redis.RedisError]) -> None:
    """Writes are refused on that connection and on a new one; reads go on."""
    for client in (live, env.redis.client(retry=None)):
        with pytest.raises(error):
            client.set("a", "b")
        assert client.get("kept") == b"1"


@pytest.mark.usefixtures("same")
def test_out_of_memory_refuses_writes_and_lets_reads_and_deletes_through(env: Environment) -> None:
    """On the same connection before, during and after; in a transaction, too."""
    with env.redis.client(retry=None, single_connection_client=True) as live:
        live.set("mine", "x")
        with env.chaos.out_of_memory("redis") as fault:
            refuses(env, live, OutOfMemoryError)
            with live.pipeline(transaction=True) as pipeline, pytest.raises((ExecAbortError, OutOfMemoryError)):
                pipeline.set("a", "b").execute()
            assert live.delete("mine") == 1
            assert "maxmemory" in fault.evidence["new"]
        assert fault.healed is not None
        assert fault.healed.evidence == {"settings": "equal", "write": "accepted"}
        assert live.set("a", "b")


@pytest.mark.usefixtures("same")
def test_out_of_memory_with_room_lets_clients_write_that_much_and_keeps_it(env: Environment) -> None:
    """A client that fills it is refused in the midst of its work; what it wrote is there afterwards."""
    with env.redis.client(retry=None) as client, env.chaos.out_of_memory("redis", room="2MB"):
        written = list[str]()
        with pytest.raises(OutOfMemoryError):
            fill(client, written)
    assert 20 < len(written) < 200
    with env.redis.client() as client:
        assert client.delete(*written) == len(written)


def fill(client: redis.Redis, written: list[str]) -> None:
    """Write until it is refused."""
    while True:
        client.set(f"filled:{len(written)}", b"x" * 20_000)
        written.append(f"filled:{len(written)}")


@pytest.mark.usefixtures("same")
def test_settings_that_the_configuration_had_come_back_exactly(env: Environment) -> None:
    """A limit, a policy, and a share of memory for clients, by which they would be cut."""
    with (
        configured(env, "maxmemory", "100mb"),
        configured(env, "maxmemory-policy", "volatile-ttl"),
        configured(env, "maxmemory-clients", "5%"),
    ):
        before = settings(env)
        with env.redis.client(retry=None, single_connection_client=True) as live:
            live.ping()
            with env.chaos.out_of_memory("redis"):
                refuses(env, live, OutOfMemoryError)
        assert settings(env) == before


@pytest.mark.usefixtures("same")
def test_a_setting_that_somebody_else_changes_meanwhile_is_left_and_told(env: Environment) -> None:
    """It is theirs."""
    try:
        with env.chaos.out_of_memory("redis") as fault:
            configure(env, "maxmemory", "50mb")
        assert fault.healed is not None
        assert fault.healed.evidence["now"] == {"maxmemory": "52428800"}
        assert "somebody else" in fault.healed.evidence["settings"]
        assert settings(env)["maxmemory"] == "52428800"
    finally:
        configure(env, "maxmemory", "0")


@pytest.mark.usefixtures("same")
def test_read_only_refuses_writes_and_wakes_who_waits(env: Environment) -> None:
    """The master of before is a master again, and knows its replication ID as its second."""
    with boss(env) as admin, env.redis.client(retry=None, single_connection_client=True) as live:
        live.ping()
        identity = admin.info("replication")["master_replid"]
        with env.chaos.read_only("redis"):
            refuses(env, live, ReadOnlyError)
            assert live.info("replication")["role"] == "slave"
        assert live.set("a", "b")
        assert admin.info("replication")["master_replid2"] == identity


@pytest.mark.usefixtures("same")
def test_read_only_holds_where_replicas_may_be_written_to(env: Environment) -> None:
    """A configuration that would let writes through, or stop reads."""
    with (
        configured(env, "replica-read-only", "no"),
        configured(env, "replica-serve-stale-data", "no"),
        env.redis.client(retry=None) as live,
    ):
        live.ping()
        with env.chaos.read_only("redis"):
            refuses(env, live, ReadOnlyError)
        assert settings(env)["replica-read-only"] == settings(env)["replica-serve-stale-data"] == "no"


def test_a_replica_is_not_made_read_only_and_a_master_that_somebody_gives_it_is_left(env: Environment) -> None:
    """What somebody else has set is theirs."""
    with boss(env) as admin:
        try:
            with env.chaos.read_only("redis") as fault:
                admin.replicaof("127.0.0.1", 2)
            assert fault.healed is not None
            assert "somebody else has set" in fault.healed.evidence["role"]
            with pytest.raises(FaultUnfit, match=r"replica of 127\.0\.0\.1:2"):
                env.chaos.read_only("redis")
        finally:
            admin.replicaof("NO", "ONE")


@pytest.mark.usefixtures("same")
def test_a_client_whose_answers_pile_up_is_cut_and_others_are_not(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """One large answer is enough; the server says why."""
    with (
        env.redis.client(retry=None, single_connection_client=True) as large,
        env.redis.client(retry=None, single_connection_client=True) as small,
    ):
        large.set("large", b"x" * 1_000_000)
        connection = small.client_id()
        with env.chaos.cut_output_buffers("redis", limit="64KiB"):
            with pytest.raises(CLOSED):
                large.get("large")
            assert small.get("kept") == b"1"
            assert small.client_id() == connection
        assert len(large.get("large") or b"") == 1_000_000
        large.delete("large")
    eventually(lambda: _told(env, "overcoming of output buffer limits"))


@pytest.mark.usefixtures("same")
def test_a_subscriber_is_cut_and_whoever_publishes_is_not(env: Environment) -> None:
    """The class is chosen."""
    with env.redis.client(retry=None) as client:
        listener = client.pubsub()
        listener.subscribe("news")
        assert listener.get_message(timeout=10) is not None
        with env.chaos.cut_output_buffers("redis", of="pubsub"):
            client.publish("news", b"x" * 500_000)
            with pytest.raises(CLOSED):
                _ = [listener.get_message(timeout=10) for _ in range(10)]
        listener.close()


@pytest.mark.usefixtures("same")
def test_a_new_connection_is_refused_while_all_are_taken_and_a_live_one_is_served(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """With --keep so many are let in before."""
    with env.redis.client(retry=None, single_connection_client=True) as live:
        live.ping()
        with env.chaos.exhaust_connections("redis"):
            with env.redis.client(retry=None) as new, pytest.raises(redis.ConnectionError):
                new.ping()
            assert live.set("a", "b")
        with env.chaos.exhaust_connections("redis", keep=2) as fault:
            assert fault.evidence["free"] == 2
            # The container's own look at its health takes one of them for a moment.
            eventually(lambda: _let_in(env, 2))
        assert live.set("a", "b")
    with pytest.raises(FaultUnfit, match="it takes 10000, and has"):
        env.chaos.exhaust_connections("redis", keep=10_000)


@pytest.mark.usefixtures("same")
@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_another_process_heals_it_wherever_the_injector_was_killed(env: Environment, fault: type[OwnWay]) -> None:
    """After planning, acting, undoing and proving; all that is left then is the journal."""
    for steps in range(4):
        one, site = fault(), Ward(env.name).site("redis")
        plan = json.loads(json.dumps(one.plan(site)))
        for step in (one.apply, one.undo, one.recovered)[:steps]:
            step(site, plan)
        for kept in site.kept.values():
            kept.close()
        elsewhere = Ward(env.name).site("redis")
        one.undo(elsewhere, plan)
        one.undo(elsewhere, plan)
        assert one.recovered(elsewhere, plan)["settings"] == "equal"


@pytest.mark.usefixtures("same")
def test_all_of_them_end_with_the_process_that_holds_them_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """Several at once, of which the last lets nobody in."""
    lines = "\n".join(f"env.chaos.call({name!r}, 'redis', {{}}, duration='1h').__enter__()" for name in NAMES)
    with injected(lines) as other:
        with env.redis.client(retry=None) as client, pytest.raises(redis.ConnectionError):
            client.ping()
        other.kill()
        eventually(lambda: _healed(env))
    with env.redis.client() as client:
        assert client.set("a", "b")


@pytest.mark.parametrize("name", NAMES)
def test_after_a_restart_meanwhile_all_is_as_the_command_line_says(env: Environment, name: str) -> None:
    """What was set is gone with the process: healed, and told."""
    before = settings(env)
    with env.chaos.call(name, "redis", {}) as fault:
        site = Ward(env.name).site("redis")
        site.hands.restart(site.container.id, 10)
    assert fault.healed is not None
    assert (
        fault.healed.evidence.items() >= {"settings": "equal", "restarted": "Redis was started anew meanwhile"}.items()
    )
    env.wait_recovered("redis")
    assert settings(env) == before


def test_two_on_the_same_setting_are_refused_and_on_different_ones_go_together(env: Environment) -> None:
    """Two would restore one another's work."""
    with env.chaos.out_of_memory("redis") as fault:
        with pytest.raises(FaultConflict, match=fault.id):
            env.chaos.out_of_memory("redis", room="1MB")
        both = env.chaos.cut_output_buffers("redis")
        with both, env.redis.client(retry=None) as client, pytest.raises(OutOfMemoryError):
            client.set("a", "b")


@pytest.mark.parametrize(
    ("fault", "parameters", "words"),
    [
        ("cut-output-buffers", {"limit": "0", "of": "slave"}, ["--limit: wanted more than 0", "--of: wanted one of"]),
        ("cut-output-buffers", {"limit": "1GB"}, ["--limit: wanted", "16MiB"]),
        ("out-of-memory", {"room": "much"}, ["--room", "a size"]),
        ("exhaust-connections", {"keep": "-1"}, ["--keep", "0 or more"]),
    ],
)
def test_impossible_parameters_are_told_before_anything_is_touched(
    env: Environment, fault: str, parameters: dict[str, str], words: list[str]
) -> None:
    """All at once: exit code 2."""
    with pytest.raises(ConfigurationError) as error:
        env.chaos.call(fault, "redis", parameters)
    assert all(word in str(error.value) for word in words)
    assert env.chaos.status() == []


def _let_in(env: Environment, wanted: int) -> None:
    """So many new clients are, and not one more."""
    clients, count = [env.redis.client(retry=None) for _ in range(wanted + 3)], 0
    try:
        for client in clients:
            client.ping()
            count += 1
    except redis.ConnectionError:
        pass
    finally:
        for client in clients:
            client.close()
    assert count == wanted


def _told(env: Environment, words: str) -> None:
    assert any(words in line.text for line in env.logs(["redis"]))


def _healed(env: Environment) -> None:
    assert env.chaos.status() == []

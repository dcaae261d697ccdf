"""Consumers that must join their group anew, and consumers whose group nobody coordinates."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from kafka import ConsumerRebalanceListener

from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit, UnknownName
from envctl.protocols import NotReady
from envctl.services.kafka.chaos import groups
from envctl.waiting import until
from tests.integration.chaos.kafka_clients import PATIENCE, admin, make, producer, refusal, send

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from kafka import KafkaConsumer, TopicPartition

    from envctl.environment import Environment

# kafka-python reads its schemas in a way that Python 3.11 and 3.12 deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

SERVICES = ["kafka"]


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """What a consumer is told of its partitions."""

    def __init__(self) -> None:
        self.lost = 0

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """They are its own."""

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """It gives them back."""

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        """They were taken from it."""
        self.lost += bool(lost)


class Crew:
    """A consumer, alone in its group, and a topic of four partitions. (Of two in one thread kafka-python loses one:
    a `poll` that ends while the other joins leaves it in a rebalance for good.)
    """

    def __init__(self, env: Environment, *, static: bool = False) -> None:
        self.env, self.topic, self.group = env, make(env, partitions=4), f"g{secrets.token_hex(4)}"
        self.listener = Listener()
        # A static member does not leave its group when it closes: its session must end soon. Any other is not to be
        # thrown out by the broker itself because this machine is busy.
        own = {"group_instance_id": f"{self.group}-1", "session_timeout_ms": 6000} if static else {}
        self.consumer = env.kafka.consumer(
            **{"group_id": self.group, "enable_auto_commit": False, "session_timeout_ms": 30_000, **own},
            heartbeat_interval_ms=300,
        )
        self.consumer.subscribe([self.topic], listener=self.listener)
        self.produce()
        self.settle()

    def produce(self) -> None:
        """One record in each partition."""
        with producer(self.env) as sender:
            for number in range(4):
                send(sender, self.topic, partition=number)

    def settle(self) -> None:
        """Until it has all partitions, and all that was sent is read and committed."""
        one = self.consumer

        def settled() -> None:
            if refused := refusal(one.poll, timeout_ms=1000):
                raise NotReady(f"poll: {refused}")
            if len(one.assignment()) != 4:
                raise NotReady(f"it has {one.assignment()}")
            ends = one.end_offsets(list(one.assignment()))
            if behind := [at for at in ends if one.position(at) < ends[at]]:
                raise NotReady(f"behind in {behind}")
            if refused := refusal(one.commit):
                raise NotReady(f"commit: {refused}")

        until(settled, PATIENCE, "the group is settled")

    def members(self) -> set[str]:
        """By the coordinator's names."""
        with admin(self.env) as connection:
            return {member.id for member in groups.describe(connection, [self.group])[self.group].members}

    def committed(self) -> dict[str, int]:
        """By the coordinator's word."""
        with admin(self.env) as connection:
            return groups.committed(connection, self.group)


@contextmanager
def crew(env: Environment, *, static: bool = False) -> Iterator[Crew]:
    """A crew that has worked."""
    one = Crew(env, static=static)
    try:
        yield one
    finally:
        one.consumer.close(autocommit=False)


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_a_member_must_join_anew(env: Environment, static: bool) -> None:
    """Its listener hears of it, its commit fails, the work goes on; no offset is other than before."""
    with crew(env, static=static) as team:
        before, offsets = team.members(), team.committed()
        fault = env.chaos.rebalance("kafka", group=team.group)
        assert fault.evidence == {"thrown out": {team.group: 1}}
        assert not team.members() & before
        assert refusal(team.consumer.commit) == "CommitFailedError"
        assert fault.heal().evidence["offsets"] == "equal"
        assert team.committed() == offsets
        team.produce()
        team.settle()
        assert team.listener.lost == 1
        assert not team.members() & before
        assert team.committed() == {at: offset + 1 for at, offset in offsets.items()}


def test_it_comes_again_until_it_is_healed(
    env: Environment, injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
) -> None:
    """By its time, or with its injector, which is killed."""
    with crew(env) as team:

        def lost_again(times: int) -> None:
            team.consumer.poll(timeout_ms=200)
            if team.listener.lost < times:
                raise NotReady(f"{team.listener.lost} times")

        with env.chaos.rebalance("kafka", group=team.group, every="1500ms", duration="1h"):
            until(lambda: lost_again(3), PATIENCE, "three rebalances")
        team.settle()
        lines = f"env.chaos.rebalance('kafka', group={team.group!r}, every='1500ms', duration='1h').__enter__()"
        with injected(lines) as other:
            until(lambda: lost_again(5), PATIENCE, "more rebalances")
            other.kill()
            other.wait()
            team.settle()
            until(lambda: _none(env), PATIENCE, "nothing in force")
        now = team.members()
        team.produce()
        team.settle()
        assert team.members() == now


def _none(env: Environment) -> None:
    if there := env.chaos.status():
        raise NotReady(str(there))


def _nobody(env: Environment) -> None:
    with admin(env) as connection:
        there = groups.describe(connection, groups.names(connection))
    if members := [name for name, group in there.items() if group.members]:
        raise NotReady(f"members of {members}")


def test_without_a_name_it_is_every_group_with_members(env: Environment) -> None:
    """An empty one is not touched; with nobody in any there is nothing to do."""
    with crew(env) as gone:
        pass
    until(lambda: _nobody(env), PATIENCE, "every member has left, or its session has ended")
    with pytest.raises(FaultUnfit, match="nobody is in it"):
        env.chaos.rebalance("kafka", group=gone.group)
    with pytest.raises(FaultUnfit, match="all are empty"):
        env.chaos.rebalance("kafka")
    with crew(env) as one, crew(env) as two:
        with env.chaos.rebalance("kafka") as fault:
            assert fault.evidence == {"thrown out": {one.group: 1, two.group: 1}}
        one.settle(), two.settle()


def test_nobody_joins_or_commits_and_then_all_go_on_as_who_they_were(env: Environment) -> None:
    """The topic is served meanwhile; afterwards the members and their offsets are the same."""
    with crew(env) as team:
        before, offsets = team.members(), team.committed()
        with env.chaos.lose_coordinator("kafka", group=team.group, duration="1h") as fault:
            assert team.group in fault.evidence["groups"]
            assert refusal(team.consumer.commit, timeout_ms=2000) == "KafkaTimeoutError"
            new = env.kafka.consumer(team.topic, group_id=f"{team.group}-new")
            team.produce()
            assert not new.poll(timeout_ms=2000)
            with pytest.raises(FaultConflict):
                env.chaos.lose_leader("kafka", topic=team.topic)
            env.wait(["kafka"])
        assert fault.heal().evidence["offsets"] == "equal"
        assert team.committed() == offsets
        team.settle()
        assert team.members() == before
        assert team.committed() == {at: offset + 1 for at, offset in offsets.items()}
        until(lambda: _read(new), PATIENCE, "the new one reads")
        new.close()


def _read(consumer: KafkaConsumer) -> None:
    if not consumer.poll(timeout_ms=500):
        raise NotReady("nothing")


def test_an_injector_that_is_killed_gives_the_coordinator_back(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
) -> None:
    """The warden heals it."""
    with crew(env) as team:
        with injected("env.chaos.lose_coordinator('kafka', duration='1h').__enter__()") as other:
            assert refusal(team.consumer.commit, timeout_ms=1000) == "KafkaTimeoutError"
            other.kill()
            until(lambda: _none(env), PATIENCE, "healed")
        team.settle()


def test_a_restart_of_the_broker_gives_the_coordinator_back(env: Environment) -> None:
    """The fault is told as lost; the offsets are there. (kafka-python's consumers may not outlive the restart.)"""
    with crew(env) as team:
        offsets = team.committed()
    fault = env.chaos.lose_coordinator("kafka", duration="1h")
    env.chaos.restart("kafka", graceful=False).heal()
    assert fault.heal().stage == "lost"
    until(lambda: _equal(team, offsets), PATIENCE, "the offsets are loaded, and the same")
    with crew(env):
        pass


def _equal(team: Crew, offsets: dict[str, int]) -> None:
    if (found := team.committed()) != offsets:
        raise NotReady(f"{found}")


def test_what_cannot_be_is_refused_by_name(env: Environment) -> None:
    """Nobody is thrown out."""
    with crew(env) as team:
        before = team.members()
        for fault in ("rebalance", "lose-coordinator"):
            with pytest.raises(UnknownName, match=f"did you mean '{team.group}'"):
                env.chaos.call(fault, "kafka", {"group": team.group[:-1]})
        with pytest.raises(ConfigurationError, match="--every: wanted 0"):
            env.chaos.rebalance("kafka", group=team.group, every="50ms")
        with pytest.raises(ConfigurationError, match="--every: wanted a duration"):
            env.chaos.rebalance("kafka", group=team.group, every="often")
        assert team.members() == before
    assert env.chaos.status() == []

"""Scenarios made up by a seed end healed: as many as a suite has time for; bench/random_scenarios.py runs a hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contracts.test_faults_running import portrait
from tests.scenarios.random_scenarios import Pair, leftovers, pairs, require_over, require_same, scenario

if TYPE_CHECKING:
    import docker

    from envctl.environment import Environment

SERVICES = ("postgres", "redis", "minio")

SLOW = ("crash-loop", "disk-full", "read-only-disk", "slow-disk", "oom-kill", "power-loss")
"""They take many seconds each, and have tests of their own; the bench has them too."""


@pytest.fixture(scope="module")
def possible(env: Environment) -> list[Pair]:
    """What can be done here; and a first network fault, so that what stays for the next one is there."""
    env.chaos.latency("redis", duration="1s").heal()
    return pairs(env, SLOW)


@pytest.mark.parametrize("seed", range(10))
def test_a_random_scenario_ends_healed(
    env: Environment, engine: docker.DockerClient, possible: list[Pair], seed: int
) -> None:
    """Nothing in force, each service ready and the container that it was, no rule, queue, link or helper left."""
    before, rules = {name: portrait(engine, env.name, name) for name in SERVICES}, leftovers(engine, env.name)
    made = scenario(seed, possible)
    verdict = env.chaos.run(made)
    print(made["steps"], verdict, sep="\n")
    require_over(env, verdict)
    assert {name: portrait(engine, env.name, name) for name in SERVICES} == before
    require_same(rules, leftovers(engine, env.name))

"""A hundred scenarios that a seed makes up, of every fault on every service: each must end healed.

    python bench/random_scenarios.py [--count 100] [--first 0] [--services postgres,redis,zookeeper,kafka,minio]

After each: nothing in force, every service ready by its own protocol, its container in the engine's words what it was,
no rule, queue, link or helper left. Ends at the first that is not so, with its seed.
"""

from __future__ import annotations

import argparse
import collections
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import docker

sys.path.insert(0, str(Path(__file__).parents[1]))

import envctl
from tests.contracts.test_faults_running import portrait
from tests.scenarios.random_scenarios import leftovers, pairs, require_over, require_same, scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.environment import Environment

SERVICES = "postgres,redis,zookeeper,kafka,minio"


def run(env: Environment, seeds: Sequence[int]) -> None:
    """One after the other."""
    engine = docker.from_env()
    services = list(env.status().services)
    env.chaos.latency(services[0], duration="1s").heal()  # what stays for the next network fault is there
    among = pairs(env)
    print(f"{len(among)} faults on {', '.join(services)}")
    outcomes, hurt = collections.Counter[str](), collections.Counter[str]()
    for number, seed in enumerate(seeds, 1):
        before, rules = {name: portrait(engine, env.name, name) for name in services}, leftovers(engine, env.name)
        began = time.monotonic()
        verdict = env.chaos.run(scenario(seed, among))
        require_over(env, verdict)
        assert {name: portrait(engine, env.name, name) for name in services} == before, f"seed {seed}\n{verdict}"
        require_same(rules, leftovers(engine, env.name), f"seed {seed}\n{verdict}")
        outcomes[str(verdict.outcome)] += 1
        hurt.update(f"{wound.fault} on {wound.service}" for wound in verdict.wounds)
        why = f": {verdict.reasons[0]}" if verdict.reasons else ""
        print(f"{number:4} seed {seed}: {verdict.outcome} in {time.monotonic() - began:.1f} s{why[:160]}", flush=True)
    print(f"{sum(hurt.values())} faults of {len(hurt)} kinds; {dict(outcomes)}; all healed, nothing left")


def main() -> None:
    """Read the options, and run on an environment of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--services", default=SERVICES)
    given = parser.parse_args()
    name = f"random-{secrets.token_hex(3)}"
    with envctl.up(name=name, services=given.services.split(","), ports="auto", timeout="5m") as env:
        run(env, range(given.first, given.first + given.count))


if __name__ == "__main__":
    main()

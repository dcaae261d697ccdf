"""Scenarios that a seed makes up of every fault that can be had, and what must be as before when one is over."""

from __future__ import annotations

import difflib
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.catalog import FAULTS
from envctl.chaos.ward import Ward
from envctl.scenarios.verdict import Outcome
from envctl.waiting import TimedOut
from tests.contracts.arranged import ARRANGED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import docker

    from envctl.environment import Environment
    from envctl.scenarios.verdict import ScenarioVerdict

PATIENCE = 180.0
"""Seconds until something that should come counts as missing; machines that run tests are busy."""

_STAYING = ("-surgeon", "-witness", "-mechanic")

_LOOK = (
    "nft -s list ruleset; tc qdisc show; for link in $(ls /sys/class/net); do tc filter show dev $link; done;"
    "ls /sys/class/net; cat /proc/net/netfilter/nfnetlink_queue"  # one line for each queue
)


@dataclass(frozen=True)
class Pair:
    """A fault that a service can have here, and what it needs to be put in force."""

    fault: str
    service: str
    given: Mapping[str, Any]


def pairs(env: Environment, leave_out: Sequence[str] = ()) -> list[Pair]:
    """Every fault on every running service that can have it here, without those that wait for a victim."""
    rows = [row for row in env.chaos.list() if row.possible and not FAULTS[row.fault].attended]
    found = [_pair(env, row.fault, row.service) for row in rows if row.fault not in leave_out]
    return [pair for pair in found if pair is not None]


def _pair(env: Environment, fault: str, service: str) -> Pair | None:
    """With something to hurt; None where that cannot be had."""
    try:
        return Pair(fault, service, ARRANGED.get((fault, service), lambda _: {})(env))
    except TimedOut as error:
        print(f"left out: {fault} on {service}: {error}")
        return None


def scenario(seed: int, among: Sequence[Pair]) -> dict[str, Any]:
    """A scenario of one to three parts; one service is never hurt twice at once."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    return {
        "name": f"random-{seed}",
        "seed": seed,
        "duration": "10m",
        "probes": {"always": {"command": "true", "roles": ["before", "during", "after"]}},
        "steps": [_part(chance, among) for _ in range(chance.randint(1, 3))],
        "recovery": {"within": PATIENCE},
    }


def _part(chance: random.Random, among: Sequence[Pair]) -> dict[str, Any]:
    services = sorted({pair.service for pair in among})
    some = chance.sample(services, chance.randint(1, min(2, len(services))))
    faults = [_fault(chance, [pair for pair in among if pair.service == service]) for service in some]
    kind = chance.choice(["parallel", "serial", "random", "while", "repeat"])
    if kind == "random":
        return {"random": {"faults": faults, "count": 2, "between": "10ms..300ms"}}
    if kind == "while" and len(faults) > 1:
        outer, inner = faults
        return {**{key: value for key, value in outer.items() if key != "for"}, "while": [inner]}
    if kind == "repeat":
        return {"repeat": 2, "steps": faults[:1]}
    return {"serial" if kind == "serial" else "parallel": faults}


def _fault(chance: random.Random, among: Sequence[Pair]) -> dict[str, Any]:
    pair = chance.choice(list(among))
    lasts = f"{chance.randint(200, 800)}ms"
    return {"fault": pair.fault, "service": pair.service, "with": dict(pair.given), "for": lasts}


def require_over(env: Environment, verdict: ScenarioVerdict) -> None:
    """Nothing is in force, and every service answers its own protocol as the identities that it had."""
    # That one fault stood in the way of another, or took no effect, ends a run early: what counts is how it is left.
    assert verdict.outcome in {Outcome.HELD, Outcome.ABORTED}, str(verdict)
    assert env.chaos.status() == [], str(verdict)
    for service in env.status().services:
        env.wait_recovered(service, PATIENCE)


def leftovers(engine: docker.DockerClient, environment: str) -> dict[str, list[str]]:
    """Rules, queues and links in each service's network, and the helpers that run beside the services: what must be the
    same before and after. The surgeon, the witness and the mechanic stay for the next fault.
    """
    running = engine.containers.list(filters={"label": f"envctl.environment={environment}"})
    hands = Ward(environment).hands
    found = {"helpers": sorted(one.name for one in running if not one.name.endswith(_STAYING))}
    for one in running:
        if not one.name.endswith(_STAYING):
            pid = engine.api.inspect_container(one.id)["State"]["Pid"]
            command = ["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-c", _LOOK]
            done = hands.operate(environment, command)
            assert done.exit_code == 0, f"{one.name} (pid {pid}): {done.output}"
            # Docker's DNS has other ports after each start.
            found[one.name] = re.sub(r"(:|sport )\d{4,5}", r"\1N", done.output).splitlines()
    return found


def require_same(before: dict[str, list[str]], after: dict[str, list[str]], why: object = "") -> None:
    """Two looks at `leftovers` are equal; else the lines that are not."""
    found = [
        f"{name}: {line}"
        for name in before.keys() | after.keys()
        for line in difflib.unified_diff(before.get(name, []), after.get(name, []), lineterm="", n=0)
    ]
    assert not found, "\n".join([*found, str(why)])

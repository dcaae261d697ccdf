"""envctl side by side with what people would use instead; prints ratios, and keeps them in docs/performance.md."""

from __future__ import annotations

import argparse
import compileall
import datetime as dt
import json
import os
import statistics
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import hurt
import seeded
import wires
from alone import NETWORK, Alone, secrets_folder
from compared import ENVCTL, PYTHON, ROOT, Row, machine, median, memory, paired, peak_memory, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

COMPOSE_FILE = ROOT / "compose" / "compose.yaml"
SERVICES = ("spark-connect", "kafka", "zookeeper", "minio", "postgres", "redis")
NAME = "envctl-bench-env"
PEER = "envctl-bench-peer"


def environ() -> dict[str, str]:
    """Variables that make plain compose use the very images that envctl uses."""
    listed = subprocess.run([ENVCTL, "images", "list", "--json"], capture_output=True, text=True, check=True)
    images = {row["service"]: row["reference"] for row in json.loads(listed.stdout)["images"] if row["service"]}
    return {f"ENVCTL_{name.upper().replace('-', '_')}_IMAGE": reference for name, reference in images.items()}


def compose(*words: str, profile: str = "full") -> list[str]:
    """A plain compose command on envctl's own files."""
    return ["docker", "compose", "-f", str(COMPOSE_FILE), "-p", PEER, "--profile", profile, *words]


def envctl(*words: str, name: str = NAME) -> list[str]:
    """An envctl command on the bench's environment."""
    return [str(ENVCTL), "--env", name, "-q", *words]


def cold(runs: int) -> list[Row]:
    """`up --profile full`, images present, against the floor and against `docker compose up --wait`."""
    variables = environ()

    def ours() -> float:
        took = seconds(envctl("up", "--profile", "full"))
        seconds(envctl("down"))
        return took

    def theirs() -> float:
        took = seconds(compose("up", "-d", "--wait"), variables)
        seconds(compose("down", "-v", "-t", "0"))
        return took

    floor_by_service, floor_by_cpu = floors(runs, variables)
    floor = max(floor_by_service, floor_by_cpu)
    up, peer = paired(ours, theirs, runs)
    print(f"  slowest service alone {floor_by_service:.2f} s; all CPU over the cores {floor_by_cpu:.2f} s")
    return [
        Row("cold `up --profile full` / the floor", up, floor, "s", "≤ 1.10"),
        Row("cold `up --profile full` / `docker compose up --wait`", up, peer, "s", "≤ 0.90"),
    ]


def floors(runs: int, variables: dict[str, str]) -> tuple[float, float]:
    """Seconds of the slowest service alone, and the CPU seconds of all over the cores; medians."""
    text = subprocess.run(
        compose("config", "--format", "json"), env={**os.environ, **variables}, capture_output=True, check=True
    ).stdout
    model: dict[str, Any] = json.loads(text)
    subprocess.run(["docker", "network", "create", NETWORK], check=False, capture_output=True)
    wall, cpu = {}, {}
    try:
        with secrets_folder() as folder:
            for name in SERVICES:
                measured = [_alone(name, model, folder) for _ in range(runs)]
                wall[name] = statistics.median(a for a, _ in measured)
                cpu[name] = statistics.median(b for _, b in measured)
                print(f"  {name} alone: {wall[name]:.2f} s, {cpu[name]:.2f} CPU s")
    finally:
        subprocess.run(["docker", "network", "rm", NETWORK], check=False, capture_output=True)
    return max(wall.values()), sum(cpu.values()) / (os.cpu_count() or 1)


def _alone(name: str, model: dict[str, Any], folder: str) -> tuple[float, float]:
    """One measurement; Kafka finds a ZooKeeper that is up already, so that its figure is its own."""
    if name != "kafka":
        return Alone(name, model, folder).measure()
    with Alone("zookeeper", model, folder).running():
        return Alone(name, model, folder).measure()


def warm(runs: int) -> list[Row]:
    """A second `up` of a running, unchanged environment; and what the small verbs cost."""
    variables = environ()
    seconds(envctl("up", "--profile", "full"))
    idle = sum(memory(f"envctl-{NAME}-{name}-1") for name in SERVICES)
    bare = [str(PYTHON), "-c", "pass"]
    try:
        ours = median(lambda: seconds(envctl("up", "--profile", "full")), runs)
        status, nothing = paired(lambda: seconds(envctl("status")), lambda: seconds(bare), runs)
        help_, _ = paired(lambda: seconds([str(ENVCTL), "--help"]), lambda: seconds(bare), runs)
        own = peak_memory(envctl("up", "--profile", "full", "--recreate"))
    finally:
        seconds(envctl("down"))
    seconds(compose("up", "-d", "--wait"), variables)
    try:
        theirs = median(lambda: seconds(compose("up", "-d", "--wait"), variables), runs)
    finally:
        seconds(compose("down", "-v", "-t", "0"))
    return [
        Row("warm `up` / no-op `docker compose up --wait`", ours, theirs, "s", "≤ 0.35"),
        Row("`envctl --help` over `python -c pass`", (help_ - nothing) * 1000, 100, "ms", "≤ 1"),
        Row("`envctl status` over `python -c pass`", (status - nothing) * 1000, 250, "ms", "≤ 1"),
        Row("envctl's own peak memory during `up`", own, 120, "MB", "≤ 1"),
        Row("full profile idle, all containers", idle, 1600, "MB", "≤ 1"),
    ]


def down(runs: int) -> list[Row]:
    """`down` of the full profile, with its leak check, against `docker compose down -v -t 0`."""
    variables = environ()

    def ours() -> float:
        seconds(envctl("up", "--profile", "full"))
        return seconds(envctl("down"))

    def theirs() -> float:
        seconds(compose("up", "-d", "--wait"), variables)
        return seconds(compose("down", "-v", "-t", "0"))

    mine, peer = paired(ours, theirs, runs)
    return [Row("`down` with proof / `docker compose down -v -t 0`", mine, peer, "s", "≤ 1.30")]


def many(runs: int) -> list[Row]:
    """Eight `core` environments at once against one."""

    def up_down(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(count) as pool:
            names = [f"bench{index}" for index in range(count)]
            state = {"XDG_STATE_HOME": folder}
            one = seconds_of_all(pool, names, lambda name: seconds(envctl("up", "--profile", "core", name=name), state))
            list(pool.map(lambda name: seconds(envctl("down", name=name), state), names))
            return one

    eight, one = paired(lambda: up_down(8), lambda: up_down(1), runs)
    return [Row("eight `core` environments at once / one", eight, one, "s", "≤ 8")]


def seconds_of_all(pool: ThreadPoolExecutor, names: list[str], call: Callable[[str], float]) -> float:
    """The longest of all, run at once."""
    return max(pool.map(call, names))


MEASURES = {
    "cold": cold,
    "warm": warm,
    "down": down,
    "many": many,
    **seeded.MEASURES,
    **hurt.MEASURES,
    **wires.MEASURES,
}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=MEASURES, action="append")
    options = parser.parse_args()
    # As it is where pip has installed it; of sources that are compiled at each start envctl needs 0.25 s more.
    compileall.compile_dir(ROOT / "envctl", quiet=1)
    rows: list[Row] = []
    for name in options.only or MEASURES:
        print(f"{name} …", flush=True)
        rows += MEASURES[name](options.runs)
    header = ["what", "envctl", "against", "ratio", "wanted"]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * 5, *(row.cells() for row in rows))]
    print("\n".join(lines))
    if not options.only:
        keep(lines, options.runs)


def keep(lines: list[str], runs: int) -> None:
    """Write the table where the README points to."""
    today = dt.datetime.now(tz=dt.UTC).date()
    text = f"""# Performance

Measured by `make bench` on {today}: {machine()}. Medians of {runs}, both sides in one run.

{chr(10).join(lines)}

What the ratios mean, and what the floor is: [bench/README.md](../bench/README.md).
"""
    (ROOT / "docs" / "performance.md").write_text(text)


if __name__ == "__main__":
    main()

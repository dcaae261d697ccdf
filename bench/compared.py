"""Timing of commands, and what the kernel and the engine say they cost."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[1]
ENVCTL = ROOT / ".venv" / "bin" / "envctl"
PYTHON = ROOT / ".venv" / "bin" / "python"


@dataclass(frozen=True)
class Row:
    """One comparison: ours and theirs in `unit`, the ratio, and what the ratio should not exceed."""

    what: str
    ours: float
    theirs: float
    unit: str
    target: str
    ratio: float | None = None

    def cells(self) -> list[str]:
        """The row of the table."""
        ratio = self.ratio if self.ratio is not None else self.ours / self.theirs
        return [
            self.what,
            f"{self.ours:.3g} {self.unit}",
            f"{self.theirs:.3g} {self.unit}",
            f"{ratio:.2f}",
            self.target,
        ]


def seconds(command: Sequence[str], environ: Mapping[str, str] | None = None) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(environ or {})})
    took = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return took


def median(measure: Callable[[], float], runs: int) -> float:
    """The median of `runs` measurements."""
    return statistics.median(measure() for _ in range(runs))


def paired(ours: Callable[[], float], theirs: Callable[[], float], runs: int) -> tuple[float, float]:
    """Both medians, measured in turn, so that a machine that drifts hurts both alike; one run each to warm up."""
    ours(), theirs()
    both = [(ours(), theirs()) for _ in range(runs)]
    return statistics.median(a for a, _ in both), statistics.median(b for _, b in both)


def peak_memory(command: Sequence[str]) -> float:
    """Peak resident memory of a command and the children that live at the same time, without the engine, in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            try:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    done.set()
    watcher.join()
    return peak / 1e6


def cpu_seconds(container: str) -> float:
    """CPU that a container used since its start, by the engine's accounting."""
    stats = docker.from_env().api.stats(container, stream=False, one_shot=True)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def memory(container: str) -> float:
    """Memory that a container uses now without the page cache, in MB."""
    stats = docker.from_env().api.stats(container, stream=False, one_shot=True)["memory_stats"]
    cache = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
    return float(stats["usage"] - cache) / 1e6


def machine() -> str:
    """One line about where this was measured."""
    api = docker.from_env().version()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    compose = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, text=True, check=False)
    return (
        f"{os.cpu_count()} cores ({model}), {memory_gb:.0f} GB, Linux {os.uname().release}, "
        f"Engine {api['Version']}, Compose {compose.stdout.strip()}"
    )


def own_cpu() -> float:
    """CPU seconds of this process's finished children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

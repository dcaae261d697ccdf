"""Will it work here? `examine` looks and changes nothing; `fix` does what is safe and says each thing that it did."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from envctl.engine.doctor import engine, host, kernel, networks, ports, sources
from envctl.engine.doctor.finding import Action, Finding, Level
from envctl.engine.doctor.repair import fix
from envctl.engine.doctor.site import Site
from envctl.errors import EnvctlError
from envctl.waiting import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Check = Callable[[Site], list[Finding]]

__all__ = ["Action", "Finding", "Level", "examine", "exit_code", "fix"]

CHECKS: Mapping[str, Check] = {
    "python": host.python,
    "engine": engine.engine,
    "docker": engine.cli,
    "disk": host.disk,
    "memory": host.memory,
    "networks": networks.networks,
    "clock": engine.clock,
    "architecture": engine.architecture,
    "ports": ports.ports,
    "images": sources.sources,
    "certificates": host.certificates,
    "kernel": kernel.kernel,
}
"""In the order in which they are shown."""


def examine() -> list[Finding]:
    """Look at everything, side by side; under 2 s where nothing hangs. Leaves nothing behind.

    A check that breaks becomes a finding that fails, with the exception's text; the others are not disturbed.
    """
    site = Site.look()
    answers = in_parallel({name: partial(check, site) for name, check in CHECKS.items()})
    return [finding for name, answer in answers.items() for finding in _findings(name, answer)]


def _findings(name: str, answer: list[Finding] | Exception) -> list[Finding]:
    if isinstance(answer, EnvctlError):
        return [
            Finding(name, Level.FAIL, answer.found, f"wanted: {answer.wanted}", answer.advice, {}, answer.exit_code)
        ]
    if isinstance(answer, Exception):
        text = f"{type(answer).__name__}: {answer}"
        return [Finding(name, Level.FAIL, text, "this check itself broke", "please report it with this line")]
    return answer


def exit_code(findings: Iterable[Finding]) -> int:
    """What `envctl doctor` ends with: 4 (engine or compose), 2 (state folder), 1 (anything else) or 0 (no failure)."""
    return max((finding.exit_code for finding in findings if finding.state is Level.FAIL), default=0)

"""Chaos: faults injected, journaled, verified, healed; any process can heal what any other injected.

Here is what every verb asks; it costs one look at a folder where no fault is in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.journal import Journal

if TYPE_CHECKING:
    from envctl.config import Settings
    from envctl.engine.docker_engine import DockerEngine
    from envctl.state import StateFolder


def healed_on_contact(engine: DockerEngine, folder: StateFolder, settings: Settings, *, unheld: bool = False) -> None:
    """Heal what is overdue, as far as it can be now: for every verb that touches an environment. `unheld`: and what no
    living process holds, for who wants the services as they should be.
    """
    if not any(Journal(folder).path.glob("*.json")):
        return
    from envctl.chaos.ward import Ward
    from envctl.chaos.warden import heal_overdue

    heal_overdue(Ward(folder.name, engine, settings), unheld=unheld)


def in_force(folder: StateFolder) -> tuple[dict[str, Any], ...]:
    """What is in force, for `status`."""
    return tuple(entry.public() for entry in Journal(folder).entries())

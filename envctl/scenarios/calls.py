"""`env.chaos`, with scenarios: `env.chaos.run("slow-network")`."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from envctl.chaos.calls import Chaos as Faults
from envctl.chaos.injecting import seed_wanted
from envctl.chaos.warden import heal_overdue
from envctl.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from envctl.chaos.ward import Ward
    from envctl.residents import Residents
    from envctl.scenarios.host import Host
    from envctl.scenarios.reading import Loaded
    from envctl.scenarios.replaying import Past
    from envctl.scenarios.verdict import ScenarioVerdict

_KEPT = 20
"""Histories that an environment keeps."""

_SEEDS = 1 << 32


class Chaos(Faults):
    """The faults of one environment (see `envctl.chaos.calls.Chaos`), and `run` for scenarios made of them."""

    def __init__(self, ward: Ward, env: Host, folders: Sequence[Path] = ()) -> None:
        super().__init__(ward)
        self._env, self._folders = env, folders

    def run(
        self,
        what: str | Path | Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        replay: str | Path | None = None,
        history: str | Path | None = None,
    ) -> ScenarioVerdict:
        """Run a scenario: a name, a path, or what a file would say as a mapping. See docs/scenarios.md.

        `replay` is the history of an earlier run, which is repeated with its seed and its choices; without `what` the
        scenario is taken from there too. `history` is the file for this run's; by default one in the environment's
        own folder, which goes with it.

        Raises:
            UsageError: something is wrong with the scenario or the request: all of it is named; nothing was hurt.

        """
        from pathlib import Path as AnyPath

        from envctl.scenarios import finding, replaying
        from envctl.scenarios.history import History
        from envctl.scenarios.running import Running

        past = replaying.past(replay) if replay is not None else None
        if past is not None and seed is not None:
            raise UsageError("a seed, or a history to repeat", "both", "a history brings its seed along")
        if wanted := seed_wanted(seed):
            raise UsageError(wanted, repr(seed), "such as 7")
        residents = self._ward.residents()
        loaded = self._loaded(what, past, residents)
        if past is not None:
            past.require(loaded.scenario)
            seed = past.seed
        self._require_possible(loaded, residents)
        seed = loaded.scenario.seed if seed is None else seed
        seed = secrets.randbelow(_SEEDS) if seed is None else seed
        origin = _origin(loaded, past, shipped=finding.is_shipped(loaded.scenario.file))
        file = AnyPath(history) if history is not None else self._file(loaded.scenario.name)
        return Running(loaded, self._env, self._ward, History(file.absolute()), seed, origin, past).go()

    def _loaded(self, what: str | Path | Mapping[str, Any] | None, past: Past | None, residents: Residents) -> Loaded:
        from envctl.scenarios import reading

        if what is not None:
            return reading.load(what, residents.services, self._folders)
        if past is None:
            raise UsageError("a scenario", "neither one nor a history to repeat", "`envctl chaos scenarios` lists some")
        return reading.of_page(past.page(), past.scenario, residents.services, folder=past.folder)

    def _require_possible(self, loaded: Loaded, residents: Residents) -> None:
        """See that what it needs is there, and that its faults can be had of this engine; all at once."""
        from envctl.scenarios.possible import missing, obstacles, unhurt

        if absent := missing(loaded.scenario, residents.services):
            raise UsageError(
                f"{', '.join(absent)} for scenario {loaded.scenario.name}",
                f"environment {self._ward.name!r} has {', '.join(residents.services) or 'nothing'}",
                "bring up all that it needs: `envctl up " + " ".join(f"--service {name}" for name in absent) + "`",
            )
        self._require_unhurt(loaded.scenario.name, unhurt(loaded.scenario))
        if problems := obstacles(loaded, lambda name: self._ward.site(name, among=residents)):
            raise ConfigurationError(problems, f"scenario {loaded.scenario.name}, on this engine", _NOTHING)

    def _require_unhurt(self, scenario: str, services: Collection[str]) -> None:
        """See that no fault is in force where the scenario's own come: what hurts then, and heals, would be no one's
        to say.
        """
        heal_overdue(self._ward)
        found = [entry for entry in self._ward.journal.entries() if entry.service in services]
        if found:
            told = (f"{one.id} is in force on {one.service} for {one.expires.left:.0f} s more" for one in found)
            advice = f"`envctl chaos heal {' '.join(one.id for one in found)}` first, or let it run out"
            raise UsageError(
                f"nothing in force on what scenario {scenario} hurts or names",
                "; ".join(told),
                f"{advice}; nothing was hurt",
            )

    def _file(self, name: str) -> Path:
        """A file of the environment's own; the oldest go."""
        folder = self._ward.folder.path / "scenarios"
        for old in sorted(folder.glob("*.jsonl"))[: -_KEPT + 1]:
            old.unlink(missing_ok=True)
        return folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{name}-{secrets.token_hex(2)}.jsonl"


_NOTHING = "nothing was hurt; `envctl chaos list` shows what can be done here"


def _origin(loaded: Loaded, past: Past | None, *, shipped: bool) -> str:
    """Whose scenario it is, in words."""
    file = loaded.scenario.file
    if past is not None:
        return f"as in {past.source}"
    if shipped:
        return "ships with envctl"
    return str(file) if file else "given by the program"

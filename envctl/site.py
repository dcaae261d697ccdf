"""Where a fault works: one service of one environment, as it is now."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from envctl.model import State
from envctl.protocols import Lost, NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.engine.docker_engine import DockerEngine
    from envctl.engine.hands import Hands
    from envctl.engine.power import Power
    from envctl.model import Container, Endpoint
    from envctl.protocols import Service

T = TypeVar("T")


class Dice:
    """Chance that can be repeated: every choice comes from the run's seed and the choice's name, and is recorded.

    `replayed` are choices of an earlier run, which are made again whatever the seed.
    """

    def __init__(self, seed: int, replayed: dict[str, Any] | None = None) -> None:
        self.seed = seed
        self.choices: dict[str, Any] = {}
        self._replayed = replayed or {}

    def choose(self, what: str, among: Sequence[T]) -> T:
        """One of `among`; values must be JSON."""
        found: T = self._replayed[what] if what in self._replayed else self._of(what).choice(list(among))
        self.choices[what] = found
        return found

    def whole(self, what: str, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        found = int(self._replayed[what]) if what in self._replayed else self._of(what).randint(low, high)
        self.choices[what] = found
        return found

    def _of(self, what: str) -> random.Random:
        word = hashlib.sha256(f"{self.seed}:{what}".encode()).digest()
        return random.Random(int.from_bytes(word[:8]))  # noqa: S311 - to be repeated, not to be secret


@dataclass
class Site:
    """One service as a fault sees it. `kept` is what one process keeps between the steps of one fault: sessions.

    `lasts` is how many seconds a fault that is being injected may last: what can end by itself ends soon after.
    """

    environment: str
    service: Service
    at: Endpoint
    engine: DockerEngine
    hands: Hands
    container: Container
    dice: Dice = field(default_factory=lambda: Dice(0))
    kept: dict[str, Any] = field(default_factory=dict)
    lasts: float = 30.0
    locked_out: bool = False

    @property
    def name(self) -> str:
        """The service's name."""
        return self.container.service

    @property
    def power(self) -> Power:
        """The container's power, which can fail."""
        from envctl.engine.power import Power

        return Power(self.hands, self.environment, self.container.id)

    def now(self) -> Container:
        """The container as it is now.

        Raises:
            Lost: it is gone.

        """
        found = self.engine.container(self.container.id)
        if found is None:
            raise Lost("its container is gone")
        return found

    def running(self) -> Container:
        """The container, which runs.

        Raises:
            NotReady: it does not, for whatever reason.
            Lost: it is gone.

        """
        found = self.now()
        if found.state is not State.RUNNING:
            told = f" (exit code {found.exit_code})" if found.state is State.EXITED else ""
            raise NotReady(f"its container is {found.state}{told}")
        return found

    def ping(self, timeout: float = 2.0) -> None:
        """See that the service answers its own protocol, as the app identity; where that is locked out, as envctl's.

        Raises:
            NotReady: it does not.

        """
        try:
            self.service.ping(self.at, timeout)
        except NotReady:
            if not self.locked_out or self.at.admin is None:
                raise
            self.service.ping(replace(self.at, app=self.at.admin), timeout)

    def bring_up(self) -> None:
        """Have the container run, as it did when the fault came: start it where it ended meanwhile.

        Raises:
            NotReady: the engine is about to start it by itself.
            Lost: it is gone.

        """
        state = self.now().state
        if state is State.RESTARTING:
            raise NotReady("the engine is about to start it again")
        if state not in {State.RUNNING, State.PAUSED}:
            self.hands.start(self.container.id)

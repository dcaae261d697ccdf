"""The environment as chaos sees it: its services' sites, and its journal of faults."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from envctl.engine.connect import locate
from envctl.engine.docker_engine import DockerEngine
from envctl.engine.hands import Hands
from envctl.errors import NoSuchEnvironment, UnknownName
from envctl.journal import Journal
from envctl.residents import Residents
from envctl.site import Dice, Site
from envctl.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from envctl.config import Settings
    from envctl.engine.images import Workshop


class Ward:
    """One environment. Looks at the engine anew for each site."""

    def __init__(self, name: str, engine: DockerEngine | None = None, settings: Settings | None = None) -> None:
        self.name = name
        self.engine = engine or DockerEngine(locate())
        self.folder = StateFolder(name)
        self.journal = Journal(self.folder)
        self._settings = settings

    @cached_property
    def hands(self) -> Hands:
        """What acts on containers."""
        return Hands(self.engine, self._shop, self.folder.path / "abilities.json")

    def residents(self) -> Residents:
        """The services as they are now.

        Raises:
            NoSuchEnvironment: none is there.

        """
        containers = self.engine.containers(self.name)
        if not containers:
            raise NoSuchEnvironment(
                f"environment {self.name!r}", "no container of it", f"make it with `envctl --env {self.name} up`"
            )
        residents = Residents(self.engine, self.folder.load(), containers)
        residents.recover_secrets()
        return residents

    def site(self, service: str, dice: Dice | None = None, among: Residents | None = None) -> Site:
        """One service, as it is now.

        Raises:
            NoSuchEnvironment: nothing of the environment is there.
            UnknownName: the service is not among those that are.

        """
        residents = among or self.residents()
        if service not in residents.containers:
            raise UnknownName(f"service of environment {self.name!r}", service, residents.containers)
        return Site(
            environment=self.name,
            service=residents.services[service],
            at=residents.endpoint(service),
            engine=self.engine,
            hands=self.hands,
            container=residents.containers[service],
            dice=dice or Dice(0),
        )

    @property
    def _shop(self) -> Callable[[], Workshop]:
        def shop() -> Workshop:
            from envctl.config import Settings
            from envctl.images import workshop

            return workshop(self._settings or Settings(name=self.name), self.engine)

        return shop

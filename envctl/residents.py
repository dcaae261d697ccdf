"""Who lives in an environment: from the containers that the engine shows to services, endpoints and probes.

Everything here works from any process: the engine's labels and bindings say what is there, the pins add secrets, and
secrets that this machine has lost are read back from the containers.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from envctl.catalog import SERVICES
from envctl.journal import Journal
from envctl.model import MODEL_LABEL, Container, Endpoint, Identity, ServiceStatus, State
from envctl.protocols import HasIdentities, NotReady
from envctl.readiness import Target
from envctl.services.labelled import IGNORE_LABEL, ONESHOT_LABEL, Labelled, is_on
from envctl.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Engine, Service
    from envctl.state import Pins

IDENTITIES = ("admin", "app")


class Residents:
    """The services of one environment, as its containers stand."""

    def __init__(self, engine: Engine, pins: Pins, containers: Sequence[Container]) -> None:
        self._engine, self._pins = engine, pins
        self.containers = {container.service: container for container in containers}
        self._services = {name: self._known(container) for name, container in self.containers.items()}

    @property
    def services(self) -> dict[str, Service]:
        """Every service by name, envctl's own and the user's."""
        return dict(self._services)

    def endpoint(self, service: str) -> Endpoint:
        """Where a service is reached, and as whom."""
        container, known = self.containers[service], self._services[service]
        by_target = container.ports
        names = {name: by_target[target] for name, target in known.ports.items() if target in by_target}
        admin, app = (self._identity(service, identity) for identity in IDENTITIES)
        return Endpoint(service, self._engine.host, names, admin, app)

    def secrets(self) -> list[str]:
        """Every password of the environment, to be kept out of whatever is shown."""
        return [password for identities in self._pins.secrets.values() for password in identities.values()]

    def targets(self, services: Sequence[str] = ()) -> list[Target]:
        """What to wait for: these services, or all but those that are labelled to be ignored."""
        asked = [name for name in self.containers if name in services] or [
            container.service for container in counted(self.containers.values())
        ]
        return [self._target(name) for name in asked]

    def statuses(self, pins: Pins) -> dict[str, ServiceStatus]:
        """Every service as `status` shows it: its state, address, image, and the time it took to be ready."""
        found: dict[str, ServiceStatus] = {}
        for name, container in self.containers.items():
            at = self.endpoint(name)
            found[name] = ServiceStatus(
                name=name,
                state=state_of(container, pins.ready),
                host=at.host,
                port=at.port if at.ports else None,
                ports=dict(at.ports),
                image=container.image,
                image_source=pins.origins.get(name, "unknown"),
                container=container.name,
                ready_ms=pins.ready_ms.get(name),
                restarts=container.restarts,
            )
        return found

    def recover_secrets(self) -> bool:
        """Read passwords that the state folder has lost back from the containers; whether any was found."""
        found = False
        for name, container in self.containers.items():
            if not isinstance(self._services[name], HasIdentities) or name in self._pins.secrets:
                continue
            read = {key: self._engine.read_file(container, secret_path(name, key)) for key in IDENTITIES}
            known = {key: value.decode() for key, value in read.items() if value}
            if known:
                # A service that knows a single secret has it as the app's: then it serves for both.
                self._pins.secrets[name] = {"admin": known.get("admin") or known["app"], **known}
                self._pins.secret(name, "app")
                found = True
        return found

    def _identity(self, service: str, identity: str) -> Identity | None:
        known, password = self._services[service], self._pins.secrets.get(service, {}).get(identity)
        if not isinstance(known, HasIdentities) or password is None:
            return None
        return Identity(known.admin_name if identity == "admin" else known.app_name, password)

    def _known(self, container: Container) -> Service:
        """The catalog's service, or one that the user's labels describe."""
        if container.service in SERVICES:
            return SERVICES[container.service]
        model = json.loads(container.labels.get(MODEL_LABEL, "{}"))
        observe = partial(self._engine.container, container.id)
        return Labelled.from_labels(container.service, container.labels, model, engine=self._engine, observe=observe)

    def _target(self, name: str) -> Target:
        service, at = self._services[name], self.endpoint(name)
        return Target(
            service=name,
            container=self.containers[name].id,
            probe=_ProvisionedPing(service, at, self.containers[name].environment),
            address=at.address if at.ports else "",
            oneshot=isinstance(service, Labelled) and service.oneshot,
        )


class _ProvisionedPing:
    """Provision once, as soon as the service takes it, then ping as the app identity.

    While a fault has that identity in its hands it is not provisioned: what was taken away on purpose would be back.
    """

    def __init__(self, service: Service, at: Endpoint, environment: str) -> None:
        self._service, self._at = service, at
        self._provisioned = not isinstance(service, HasIdentities)
        self._journal = Journal(StateFolder(environment))

    def __call__(self, timeout: float) -> None:
        try:
            self._ask(timeout)
        except NotReady as reason:
            raise NotReady(f"{reason}{self._hurt()}") from reason

    def _ask(self, timeout: float) -> None:
        if not self._provisioned and isinstance(self._service, HasIdentities):
            if self._at.admin is None:
                raise NotReady("its passwords are lost: neither the state folder nor its container has them")
            if not self._taken():
                self._service.provision(self._at, timeout)
                self._provisioned = True
        self._service.ping(self._at, timeout)

    def _hurt(self) -> str:
        """The faults in force on it, which are why it does not answer, or may be."""
        faults = [entry.id for entry in self._journal.entries() if entry.service == self._at.service]
        return f" ({', '.join(faults)} in force: `envctl chaos heal`)" if faults else ""

    def _taken(self) -> bool:
        claims = (c for entry in self._journal.entries() if entry.service == self._at.service for c in entry.claims)
        return any(claim.startswith("identity") for claim in claims)


def secret_variables(pins: Pins) -> dict[str, str]:
    """The content of every compose secret of envctl's services, made on first use."""
    found: dict[str, str] = {}
    for name, service in SERVICES.items():
        if isinstance(service, HasIdentities):
            admin = Identity(service.admin_name, pins.secret(name, "admin"))
            app = Identity(service.app_name, pins.secret(name, "app"))
            for key, content in service.secret_files(admin, app).items():
                found[f"ENVCTL_SECRET_{name}_{key}".upper().replace("-", "_")] = content
    return found


def secret_path(service: str, key: str) -> str:
    """Where a container finds one of its secrets."""
    return f"/run/secrets/{service.replace('-', '_')}_{key}"


def counted(containers: Iterable[Container]) -> list[Container]:
    """All but those whose label asks to ignore them: nobody waits for these, and they spoil no environment's state."""
    return [container for container in containers if not is_on(container.labels.get(IGNORE_LABEL))]


def state_of(container: Container, proven: Mapping[str, str]) -> str:
    """`ready` while the proven start runs, `done` for a one-shot that ended well, else the engine's word."""
    if proven.get(container.id) == container.started_at:
        if container.state is State.RUNNING:
            return "ready"
        if container.state is State.EXITED and container.exit_code == 0 and is_on(container.labels.get(ONESHOT_LABEL)):
            return "done"
    return str(container.state)


def overall(states: Iterable[str]) -> str:
    """The state of an environment: `ready` when all its services are, `stopped` when none runs, else `degraded`."""
    states = set(states)
    if states <= {"ready", "done"}:
        return "ready"
    return "degraded" if states & {"ready", "running", "paused", "restarting"} else "stopped"

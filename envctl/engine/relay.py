"""The relay of an environment: one container, without any right, that publishes the services' ports in their place and
passes connections on to them; and what it is ordered to do to those (see `gates.relay`).

It is a service of the compose model like the others, so that what makes, keeps and removes those does the same to it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

from envctl.engine import gates, project, sidecars
from envctl.model import CONFIG_LABEL, ENVIRONMENT_LABEL, MODEL_LABEL, OWNER_LABEL, RELAYED_LABEL, ROLE_LABEL, State
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.engine.docker_engine import DockerEngine
    from envctl.engine.hands import Hands
    from envctl.engine.images import Workshop
    from envctl.engine.project import Model
    from envctl.model import Container

ROLE = "relay"
_SERVICE = "envctl-relay"
_FIRST = 10_000
"""Where the relay listens for the first port, in its own network."""
_RUN = ("sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec python3 -c "$@"', ROLE)
"""With as many connections as it may have."""
_NOBODY = "65534:65534"


def name_of(environment: str) -> str:
    """Its container."""
    return f"{project.name_of(environment)}-{ROLE}"


def running(engine: DockerEngine, environment: str) -> Container | None:
    """Its container; None where none runs."""
    found = engine.container(name_of(environment))
    return found if found is not None and found.state is State.RUNNING else None


def stands(engine: DockerEngine, environment: str, containers: Iterable[Container]) -> bool:
    """Whether it runs, where one of these services needs it."""
    needed = any(RELAYED_LABEL in container.labels for container in containers)
    return not needed or running(engine, environment) is not None


class Relay:
    """The relay of an environment whose containers are `before`, by service; `wanted` for what is brought up now."""

    def __init__(
        self, engine: DockerEngine, environment: str, before: Mapping[str, Container], *, wanted: bool
    ) -> None:
        self._engine, self._environment, self._before, self._wanted = engine, environment, before, wanted
        self._image = ""

    @property
    def held(self) -> set[int]:
        """The host ports that it holds now."""
        found = running(self._engine, self._environment)
        return {*found.ports.values()} if found else set()

    def prepare(self, model: Model, shop: Workshop) -> None:
        """Have its image, where it is needed."""
        if self._wanted or self._away(model):
            self._image = sidecars.image(shop)

    def note(self, model: Model) -> None:
        """Write on each service, in place, at which host ports its connections come through the relay."""
        for service in model["services"].values() if self._wanted else ():
            if ports := {str(entry["target"]): int(entry["published"]) for entry in _relayed(service)}:
                service["labels"] = {**(service.get("labels") or {}), RELAYED_LABEL: json.dumps(ports)}

    def through(self, model: Model) -> Model:
        """A labelled model, in which the relay publishes what the services that `note` wrote on would.

        A relay that is there and not the one that it wants is removed: whoever gets its ports must find them free.
        """
        made = copy.deepcopy(model)
        taken = {name: service for name, service in made["services"].items() if RELAYED_LABEL in service["labels"]}
        if known := {**self._away(model), **taken}:
            owner = next(iter(made["services"].values()))["labels"][OWNER_LABEL]
            # Who held such a port by itself until now must let go of it first.
            direct = [name for name in taken if name in self._before and RELAYED_LABEL not in self._before[name].labels]
            made["services"][_SERVICE] = self._service(known, made, owner, direct)
            for service in taken.values():
                relayed = _relayed(service)
                service["ports"] = [entry for entry in service["ports"] if entry not in relayed]
        self._clear(made)
        return made

    def _away(self, model: Model) -> dict[str, Model]:
        """The relayed services that a model for a part of the environment leaves out, by their descriptions."""
        left = {name: one for name, one in self._before.items() if name not in model["services"]}
        return {name: json.loads(one.labels[MODEL_LABEL]) for name, one in left.items() if RELAYED_LABEL in one.labels}

    def _service(self, known: Mapping[str, Model], model: Model, owner: str, direct: Iterable[str]) -> Model:
        """The relay for these services, as compose makes it."""
        ports = [(name, entry) for name in sorted(known) for entry in _relayed(known[name])]
        numbered = list(enumerate(ports, _FIRST))
        told = [{"service": name, "port": int(one["target"]), "listen": listen} for listen, (name, one) in numbered]
        there = {*(model.get("networks") or ())}
        networks = there & {name for service in known.values() for name in service.get("networks") or ()}
        wanted: Model = {
            "container_name": name_of(self._environment),
            "image": self._image,
            "command": [part.replace("$", "$$") for part in (*_RUN, gates.program(ROLE), json.dumps(told), ROLE)],
            "user": _NOBODY,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "read_only": True,
            "restart": "unless-stopped",
            "stop_signal": "SIGKILL",
            "networks": dict.fromkeys(sorted(networks)),
            "ports": [{**one, "target": listen} for listen, (_, one) in numbered],
        }
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
        ours = {ENVIRONMENT_LABEL: self._environment, OWNER_LABEL: owner, ROLE_LABEL: ROLE, CONFIG_LABEL: digest}
        after = {name: {"condition": "service_started", "required": True} for name in direct}
        return {**wanted, "labels": ours, "depends_on": after}

    def _clear(self, model: Model) -> None:
        wanted = (model["services"].get(_SERVICE) or {"labels": {}})["labels"].get(CONFIG_LABEL)
        found = self._engine.container(name_of(self._environment))
        if found is not None and found.labels.get(CONFIG_LABEL) != wanted:
            sidecars.do(lambda: self._engine.api.remove_container(found.id, force=True))


def order(hands: Hands, environment: str, told: dict[str, Any]) -> dict[str, Any]:
    """Give it one order, or measure (see `gates.relay_orders`); what came of it. One may come twice.

    Raises:
        NotReady: it is not there, or does not answer.

    """
    command = ["python3", "-c", gates.program("relay_orders"), json.dumps(told), ROLE]
    done = hands.execute(name_of(environment), command, user=_NOBODY)
    if not done.exit_code and not done.output:
        # A busy engine (20.10) may lose all that a command said.
        done = hands.execute(name_of(environment), command, user=_NOBODY)
    last = done.output.strip().rpartition("\n")[2]
    if done.exit_code or not last:
        raise NotReady(last or "the relay said nothing")
    return dict(json.loads(last))


def _relayed(service: Model) -> list[Model]:
    """What the relay can publish for a service: not where it has no network of its own."""
    mode = str(service.get("network_mode") or "")
    return [] if mode else project.published(service)

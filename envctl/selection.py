"""Which services: from profiles and names to the part of the compose model that is brought up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.catalog import PROFILES, SERVICES
from envctl.engine import project
from envctl.errors import ConfigurationError, Problem, UnknownName
from envctl.services.labelled import PROFILE_LABEL, label_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envctl.engine.project import Model

DEFAULT_PROFILES = ("core",)
"""What `up` brings when nobody said anything: the two that nearly every suite needs, ready in a few seconds."""


def check_names(profiles: Iterable[str], services: Iterable[str]) -> None:
    """Refuse unknown names before anything is asked of compose; only where no file of the user's can add any.

    Raises:
        UnknownName: with the nearest known one.

    """
    for profile in profiles:
        if profile not in PROFILES:
            raise UnknownName("profile", profile, PROFILES)
    for service in services:
        if service not in SERVICES:
            raise UnknownName("service", service, SERVICES)


def select(model: Model, profiles: Sequence[str], services: Sequence[str]) -> None:
    """Reduce a model rendered with all profiles to what was asked for and what that needs, in place.

    The user's services without a profile belong to every selection, as with compose. The profiles themselves are
    dropped: what remains is what runs.

    Raises:
        UnknownName: a profile or service that neither envctl nor the user's files have.
        ConfigurationError: nothing is selected.

    """
    offered: dict[str, Model] = model["services"]
    known = {profile for service in offered.values() for profile in _profiles(service)}
    for profile in profiles:
        if profile not in known:
            raise UnknownName("profile", profile, known)
    for service in services:
        if service not in offered:
            raise UnknownName("service", service, offered)
    wanted = {*services, *(name for name, service in offered.items() if _belongs(service, profiles))}
    if not wanted:
        raise ConfigurationError([Problem("no service is selected", "profiles")])
    model["services"] = {name: offered[name] for name in _with_needs(wanted, offered)}
    for service in model["services"].values():
        service.pop("profiles", None)
    for kind in ("volumes", "networks", "secrets", "configs"):
        _keep_used(model, kind)


def check_services(model: Model) -> None:
    """Refuse what the user's files get wrong, all at once, before anything starts: labels, and ports taken away.

    Raises:
        ConfigurationError: with all of it.

    """
    problems: list[Problem] = []
    for name, service in model["services"].items():
        if name not in SERVICES:
            problems += label_problems(name, service.get("labels") or {}, service)
            continue
        there = {int(entry["target"]) for entry in project.published(service)}
        missing = [str(target) for target in SERVICES[name].ports.values() if target not in there]
        if missing:
            problems.append(Problem(f"port {', '.join(missing)} must stay published", f"services.{name}.ports"))
    if problems:
        raise ConfigurationError(problems, "services that envctl can reach and understand")


def _profiles(service: Model) -> tuple[str, ...]:
    label = str((service.get("labels") or {}).get(PROFILE_LABEL, ""))
    return (*(service.get("profiles") or ()), *filter(None, (part.strip() for part in label.split(","))))


def _belongs(service: Model, profiles: Sequence[str]) -> bool:
    own = _profiles(service)
    return not own or bool({*own} & {*profiles})


def _with_needs(wanted: Iterable[str], offered: dict[str, Model]) -> list[str]:
    """`wanted` and everything they depend on, in the order of the model."""
    todo, found = list(wanted), set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [need for need in (offered[name].get("depends_on") or {}) if need in offered]
    return [name for name in offered if name in found]


def _keep_used(model: Model, kind: str) -> None:
    """Drop top-level volumes, networks and secrets that no selected service uses: compose would make them."""
    used: set[str] = set()
    for service in model["services"].values():
        entries = service.get(kind) or {}
        used |= {*entries} if isinstance(entries, dict) else {str(entry.get("source", "")) for entry in entries}
    if kind in model:
        model[kind] = {name: value for name, value in model[kind].items() if name in used}

"""Injecting: plan, journal, apply, verify. What goes wrong on the way is undone before it is raised."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from envctl.catalog import FAULTS
from envctl.chaos import warden
from envctl.chaos.healing import fault_of, heal, locked_out
from envctl.chaos.injection import Injection
from envctl.engine import owner
from envctl.errors import (
    ConfigurationError,
    EnvctlError,
    FaultConflict,
    FaultDidNotBite,
    FaultError,
    FaultUnfit,
    Problem,
    UnknownName,
)
from envctl.events import now
from envctl.faults.fault import Fault, options
from envctl.faults.values import duration, read
from envctl.journal import Entry, Expiry, Stage
from envctl.model import State
from envctl.protocols import Lost, NotReady
from envctl.site import Dice
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from envctl.chaos.ward import Ward
    from envctl.protocols import Service
    from envctl.site import Site

DURATION = 30.0
"""Seconds that a fault lasts where nobody says how long."""

LONGEST = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for besides the fault itself: how long it may last in seconds, the run's seed, the choices of an
    earlier run that are to be made again, a process with whose death it ends (see `engine.owner`), and what is to be
    called as it begins to act.
    """

    duration: float = DURATION
    seed: int | None = None
    replayed: Mapping[str, Any] | None = None
    holder: str = ""
    acting: Callable[[], None] = lambda: None


def seed_wanted(seed: object) -> str:
    """What a seed must be, where this is none; None stands for one that is chosen."""
    whole = isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
    return "" if whole or seed is None else "a whole number, 0 or more"


def _seconds(lasting: object) -> tuple[float, str]:
    seconds, wanted = read(duration, lasting)
    if not wanted and not 0 < seconds <= LONGEST:
        wanted = "more than 0 and at most 24h"
    return seconds, wanted


def make(
    name: str,
    service: str,
    given: Mapping[str, Any],
    lasting: object = DURATION,
    seed: object = None,
    known: Service | None = None,
) -> tuple[Fault, float]:
    """The fault of that name with these parameters, and its duration in seconds; the seed is only looked at. With the
    service, where it is `known`, a refusal names what is impossible on it, too.

    Raises:
        UnknownName: no fault or no parameter has that name; with the nearest.
        ConfigurationError: with every value that cannot be.

    """
    if name not in FAULTS:
        raise UnknownName("fault", name, FAULTS)
    values, problems = _values(name, given)
    seconds, wanted = _seconds(lasting)
    if wanted:
        problems.append(Problem(f"wanted {wanted}, found {lasting!r}", "--for"))
    if wanted := seed_wanted(seed):
        problems.append(Problem(f"wanted {wanted}, found {seed!r}", "--seed"))
    if problems:
        if known is not None and not FAULTS[name].unfit(known):
            keys = {problem.key for problem in problems}
            wrong = [name for name in given if "--" + name.replace("_", "-") in keys]
            problems += _impossible(FAULTS[name], known, values, wrong)
        raise ConfigurationError(problems, f"parameters that {name} on {service} can have")
    return FAULTS[name](**values), seconds


def _values(name: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The parameters' values, and what is wrong with those that cannot be read."""
    fields = {option.name: option for option in options(FAULTS[name])}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in given.items():
        if key not in fields:
            raise UnknownName(f"parameter of {name}", key, [*fields, "duration", "seed"])
        option = fields[key]
        values[key], wanted = read(option.kind, value) if value != option.default else (value, "")
        if not wanted and option.choices is not None and values[key] not in {*option.choices, option.default}:
            wanted = "one of " + ", ".join(option.choices)
        if wanted:
            problems.append(Problem(f"wanted {wanted}, found {value!r}", option.flag))
    return values, problems


def _impossible(
    fault: type[Fault], service: Service, values: Mapping[str, Any], wrong: Collection[str]
) -> list[Problem]:
    """What is impossible whatever those mean that are `wrong`: about them, or in view of them, nothing can be said."""
    right = {name: value for name, value in values.items() if name not in wrong}
    unknown = [re.compile(rf"\b{re.escape(name).replace('_', '[-_ ]')}\b") for name in wrong]
    found = fault(**right).problems(service)
    return [Problem(text) for text in found if not any(name.search(text) for name in unknown)]


def inject(ward: Ward, fault: Fault, service: str, wish: Wish) -> Injection:
    """Put one fault in force; it is healed after its duration at the latest, whatever becomes of this process.

    Raises:
        FaultUnfit: the service or the engine cannot have it; nothing was changed.
        FaultConflict: a fault in force stands in its way; nothing was changed.
        FaultDidNotBite: it took no effect; it was healed again.

    """
    seed = secrets.randbelow(1 << 32) if wish.seed is None else wish.seed
    site = ward.site(service, Dice(seed, dict(wish.replayed or {})))
    site.lasts = wish.duration
    _require_fit(fault, site)
    with ward.journal.planning():
        entry = _planned(ward, fault, site, wish)
        held = ward.journal.holding(entry.id)
        held.__enter__()
        try:
            ward.journal.save(entry)
        except BaseException:
            held.__exit__(None, None, None)
            raise
    try:
        ward.journal.say("fault.planned", entry, seed=seed, choices=entry.choices, expires=entry.expires.at)
        warden.ensure(ward)
        entry = _applied(ward, entry, fault, site, wish)
    except BaseException as error:
        held.__exit__(None, None, None)
        _undo(ward, entry, site, error)
        raise
    held.__exit__(None, None, None)
    return Injection(ward, entry, fault, site)


def _require_fit(fault: Fault, site: Site) -> None:
    """Refuse what cannot be, with all reasons at once."""
    if reason := fault.unfit(site.service):
        raise FaultUnfit(f"{fault.name} on {site.name}", reason, "`envctl chaos list` shows what each service can have")
    found = [*fault.problems(site.service)]
    # A server that does not answer is told when it is planned.
    with suppress(NotReady):
        found += fault.problems_at(site)
    if problems := [Problem(text) for text in found]:
        raise ConfigurationError(problems, f"parameters that {fault.name} on {site.name} can have")
    if reason := fault.obstacle(site):
        raise FaultUnfit(f"{fault.name} on {site.name}", reason, "`envctl chaos list` shows what can be done here")


def _require_free(fault: Fault, site: Site, claims: Sequence[str], others: Sequence[Entry]) -> None:
    """See that nothing stands in its way: no other fault, and nobody who has frozen the service by hand."""
    for other in others:
        if other.service == site.name and (both := sorted(set(claims) & set(other.claims))):
            raise FaultConflict(
                f"{fault.name} on {site.name}",
                f"{other.fault} ({other.id}) is in force there for {other.expires.left:.0f} s more and holds {both[0]}",
                f"`envctl chaos heal {other.id}` first, or let it run out",
            )
        if other.service == site.name and other.fault in FAULTS and fault_of(other).silences:
            raise FaultConflict(
                f"{fault.name} on {site.name}",
                f"{other.fault} ({other.id}) keeps it from answering for {other.expires.left:.0f} s more",
                f"`envctl chaos heal {other.id}` first, or inject them the other way round",
            )
    with suppress(Lost):  # told by the plan
        # It was seen before the others were waited for: one that froze it may have been healed since.
        if site.container.state is State.PAUSED and site.now().state is State.PAUSED:
            raise FaultError(
                f"{site.name} in a state to be hurt",
                "its container is paused, and not by a fault in force",
                f"`docker unpause {site.container.name}`, then try again",
            )


def _planned(ward: Ward, fault: Fault, site: Site, wish: Wish) -> Entry:
    """The entry, with everything that healing needs; the holder of the journal alone calls this."""
    others = ward.journal.entries()
    claims = tuple(fault.claims(site))
    _require_free(fault, site, claims, others)
    site.locked_out = locked_out(others, site.name)
    try:
        plan = fault.plan(site)
    except NotReady as reason:
        raise FaultError(
            f"{site.name} in a state to be hurt", str(reason), f"`envctl wait --service {site.name}`, then try again"
        ) from reason
    order = 1 + max([other.order for other in others], default=0)
    return Entry(
        id=f"{fault.name}-{secrets.token_hex(3)}",
        order=order,
        fault=fault.name,
        service=site.name,
        parameters=fault.parameters(),
        seed=site.dice.seed,
        expires=Expiry.after(wish.duration),
        at=now(),
        choices=dict(site.dice.choices),
        claims=claims,
        plan=plan,
        container=site.container.id,
        started_at=site.container.started_at,
        # Until it bites: a process that dies while it injects leaves a half of it, which is nobody's wish.
        holder=owner.this_process(),
    )


def _applied(ward: Ward, entry: Entry, fault: Fault, site: Site, wish: Wish) -> Entry:
    """Act, and measure that it took effect."""
    wanted, advice = f"{fault.name} on {site.name}", "what it had done is undone; `envctl status` shows what is there"
    wish.acting()
    try:
        fault.apply(site, entry.plan)
        now_running = site.engine.container(site.container.id)
        started_at = now_running.started_at if now_running else entry.started_at
        # What chance decided while it acted is known only now.
        entry = replace(entry, stage=Stage.APPLIED, started_at=started_at, choices=dict(site.dice.choices))
        ward.journal.save(entry)
        ward.journal.say("fault.applied", entry)
        wanted = f"an effect of {fault.name} on {site.name} within {fault.bites_within:g} s"
        advice = "it was healed again; see whether something else keeps it from working"
        evidence = until(lambda: fault.bites(site, entry.plan), fault.bites_within, f"{fault.name} takes effect")
        entry = ward.journal.save(replace(entry, stage=Stage.VERIFIED, evidence=evidence, holder=wish.holder))
    except (NotReady, TimedOut, Lost) as reason:
        found = reason.last if isinstance(reason, TimedOut) else str(reason)
        raise FaultDidNotBite(wanted, found or "none", advice, entry.id) from reason
    ward.journal.say("fault.injected", entry, evidence=evidence)
    return entry


def _undo(ward: Ward, entry: Entry, site: Site, error: BaseException) -> None:
    """Heal what an injection that failed has done; what cannot be healed is added to the failure, not put in its
    place.
    """
    refused = error.found or error.wanted if isinstance(error, FaultUnfit) else ""
    try:
        heal(ward, entry.id, site, refused=refused)
    except EnvctlError as failure:
        error.add_note(f"and then: {failure}")

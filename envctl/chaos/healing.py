"""Healing: undo, prove that the service is what it was before, and take the fault out of the journal.

Any process can heal any fault, any number of times and at once with others: each fault is held while it is healed,
and one that is healed is no more in the journal.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from envctl.catalog import FAULTS
from envctl.errors import EngineError, EnvctlError, HealFailed, NoSuchEnvironment, StateFolderError, UnknownName
from envctl.faults.fault import Abode
from envctl.journal import Entry, Stage
from envctl.protocols import Lost, NotReady
from envctl.site import Dice
from envctl.waiting import Deadline, TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envctl.chaos.ward import Ward
    from envctl.faults.fault import Fault
    from envctl.site import Site


@dataclass(frozen=True, slots=True)
class Healed:
    """How one fault ended: `healed`, or `lost` or `refused` with the `problem`; `ms` of healing and proving; what was
    measured.
    """

    id: str
    fault: str
    service: str
    stage: Stage
    ms: int
    evidence: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds one fault may take to heal (None: its own time), and how many another process may hold it."""

    healing: float | None = None
    holder: float = 120.0


def heal(
    ward: Ward, fault: str, site: Site | None = None, patience: Patience = Patience(), refused: str = ""
) -> Healed | None:
    """Heal one fault, and before it those injected later that keep its service from answering.

    None when it is over already. `site` is the injector's own, with the sessions that it keeps. `refused` is why it
    was never put in force: whatever was done until that was known is undone, and it ends as refused.

    Raises:
        HealFailed: the service is not what it was; the fault stays in the journal, and is tried again.
        Busy: another process held it all the time.

    """
    entry = ward.journal.get(fault)
    if entry is None:
        return None
    for other in silencing(entry, ward.journal.entries()):
        heal(ward, other.id, patience=patience)
    with ward.journal.holding(fault, patience.holder):
        entry = ward.journal.get(fault)
        return _heal(ward, entry, site, patience.healing, refused=refused) if entry is not None else None


def heal_all(
    ward: Ward,
    wanted: Callable[[Entry], bool] = lambda _: True,
    patience: Patience = Patience(),
) -> tuple[list[Healed], list[EnvctlError]]:
    """Heal every fault that is `wanted`, the last injected first; what was healed, and what could not be."""
    healed: list[Healed] = []
    failed: list[EnvctlError] = []
    for entry in reversed(ward.journal.entries()):
        if not wanted(entry):
            continue
        try:
            if (outcome := heal(ward, entry.id, patience=patience)) is not None:
                healed.append(outcome)
        except EnvctlError as error:
            failed.append(error)
    return healed, failed


def heal_unrecorded(ward: Ward, entry: Entry, others: Sequence[Entry]) -> Healed:
    """Heal a fault whose entry is no more in the journal, because somebody deleted that, beside `others` like it.

    Raises:
        HealFailed: the service is not what it was.

    """
    return _heal(ward, entry, None, None, others)


def still_in_force(ward: Ward, entry: Entry) -> bool:
    """Whether what a fault lives in is still there, and it itself too; a quick look. Who cannot tell says yes."""
    try:
        fault, site = fault_of(entry), _site(ward, entry)
        _require_same(site, entry, fault)
        return not fault.lapsed(site, entry.plan)
    except Lost:
        return False
    except (EnvctlError, NotReady):
        return True


def silencing(entry: Entry, others: Sequence[Entry]) -> list[Entry]:
    """Which of the others, injected later, keep its service from answering; the last first."""
    later = [other for other in others if other.service == entry.service and other.order > entry.order]
    return [other for other in reversed(later) if other.fault in FAULTS and fault_of(other).silences]


def fault_of(entry: Entry) -> Fault:
    """The fault that an entry tells of.

    Raises:
        HealFailed: this version of envctl does not know it.

    """
    if entry.fault not in FAULTS:
        raise HealFailed(
            f"fault {entry.id} healed",
            f"this version of envctl knows no fault {entry.fault!r}",
            "heal it with the version that injected it, or `envctl down`",
            entry.id,
        )
    return FAULTS[entry.fault](**entry.parameters)


def locked_out(others: Sequence[Entry], service: str) -> bool:
    """Whether one of these faults keeps an identity of that service out: then it answers, but not to that one."""
    return any(claim.startswith("identity") for other in others if other.service == service for claim in other.claims)


def _heal(
    ward: Ward,
    entry: Entry,
    site: Site | None,
    within: float | None,
    unrecorded: Sequence[Entry] = (),
    refused: str = "",
) -> Healed:
    fault, clock = fault_of(entry), Deadline(0)
    deadline = Deadline(fault.heals_within if within is None else within)

    def over(stage: Stage, evidence: dict[str, Any], problem: str = "") -> Healed:
        ms = round(clock.elapsed * 1000)
        proof = {**entry.evidence, "healed": evidence, "healed_ms": ms}
        # Before it is out of the journal: who waits for that finds in the history how it ended.
        if stage is Stage.LOST:
            ward.journal.say("fault.lost", entry, ms=ms, reason=problem)
        elif stage is Stage.REFUSED:
            ward.journal.say("fault.refused", entry, ms=ms, reason=problem)
        else:
            ward.journal.say("fault.healed", entry, ms=ms, evidence=evidence)
        ward.journal.close(replace(entry, evidence=proof), stage, problem)
        return Healed(entry.id, entry.fault, entry.service, stage, ms, evidence, problem)

    if not refused:
        ward.journal.say("fault.healing", entry)
    try:
        site = site or _repeat(lambda: _site(ward, entry), deadline, f"{entry.service} found")
        others = [other for other in (*ward.journal.entries(), *unrecorded) if other.id != entry.id]
        site.locked_out = locked_out(others, entry.service)
        _repeat(lambda: _require_same(site, entry, fault), deadline, f"{entry.service} looked at")
        _repeat(lambda: fault.undo(site, entry.plan), deadline, f"{entry.fault} undone")
        evidence = _repeat(lambda: fault.recovered(site, entry.plan), deadline, f"{entry.service} as it was before")
    except Lost as lost:
        return over(Stage.LOST, {}, str(lost))
    except TimedOut as error:
        raise _failed(ward, entry, error) from error
    _remember(ward, site)
    return over(Stage.REFUSED if refused else Stage.HEALED, evidence, refused)


def _remember(ward: Ward, site: Site) -> None:
    """Note a start that the fault caused, and that is proven now, in the place of the one that was proven before."""
    if not ward.journal.path.is_dir():
        return  # the environment went meanwhile
    # Where nothing can be written, `status` goes on saying `running`.
    with suppress(StateFolderError), ward.journal.planning():
        pins, now = ward.folder.load(), site.engine.container(site.container.id)
        if now is not None and pins.ready.get(now.id, now.started_at) != now.started_at:
            pins.ready[now.id] = now.started_at
            ward.folder.save(pins)


def _repeat(act: Callable[[], Any], deadline: Deadline, what: str) -> Any:  # noqa: ANN401 - the act's own
    """Until it works; an engine that is away for a moment, as while it restarts, is waited for."""

    def attempt() -> Any:  # noqa: ANN401
        try:
            return act()
        except EngineError as error:
            raise NotReady(f"{error.wanted}: {error.found}") from error

    return until(attempt, deadline.left, what)


def _failed(ward: Ward, entry: Entry, error: TimedOut) -> HealFailed:
    problem = f"{error.what}: {error.last or 'no answer'}"
    with suppress(Lost):  # its environment went meanwhile
        ward.journal.save(replace(entry, problem=problem))
    ward.journal.say("fault.heal_failed", entry, reason=problem)
    advice = (
        "it stays in the journal and is tried again; `envctl chaos heal` tries now, `envctl up` starts what is down"
    )
    return HealFailed(f"{entry.service} as it was before {entry.fault} ({entry.id})", problem, advice, entry.id)


def _site(ward: Ward, entry: Entry) -> Site:
    """Where to heal.

    Raises:
        Lost: the service is gone, and the environment with it or not.

    """
    try:
        return ward.site(entry.service, Dice(entry.seed, entry.choices))
    except NoSuchEnvironment as error:
        raise Lost("its environment is gone") from error
    except UnknownName as error:
        raise Lost("its container is gone") from error


def _require_same(site: Site, entry: Entry, fault: Fault) -> None:
    """See that what the fault lives in is still there.

    Raises:
        Lost: it was replaced, and the fault went with it.

    """
    abode = fault.abode(entry.plan)
    if abode is Abode.DATA or (entry.stage is Stage.PLANNED and site.container.id == entry.container):
        return
    now = site.now()
    if now.id != entry.container:
        raise Lost("its container was replaced by another")
    if abode is Abode.PROCESS and now.started_at != entry.started_at:
        raise Lost(f"its container was started anew at {now.started_at}, without the fault")

"""`env.chaos`: a method for each fault of the catalog, and what is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from envctl.catalog import FAULTS, SERVICES
from envctl.chaos import listing
from envctl.chaos.healing import Healed, heal, heal_all
from envctl.chaos.injecting import DURATION, LONGEST, Wish, inject, make, seed_wanted
from envctl.chaos.operations import Operation
from envctl.chaos.replaying import earlier
from envctl.errors import UnknownName, UsageError
from envctl.faults.fault import Fault
from envctl.faults.values import duration as in_seconds
from envctl.faults.values import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from envctl.chaos.injection import Injection
    from envctl.chaos.ward import Ward
    from envctl.journal import Entry


class Chaos:
    """The faults of one environment.

    Each fault of the catalog is a method: `chaos.pause("redis", duration="5s")`,
    `chaos.revoke_credentials("postgres", mode="password")`. Its keywords are the fault's fields, and `duration`
    (seconds or text, 30 s), `seed`, `replay` (the id, or the file, of an earlier injection whose choices are made
    again). Each returns an `Injection` that bites; as a context manager it is healed at the block's end.
    """

    def __init__(self, ward: Ward) -> None:
        self._ward = ward

    def __getattr__(self, name: str) -> Callable[..., Injection]:
        """The method of a fault.

        Raises:
            AttributeError: the catalog has no fault of that name; with the nearest.

        """
        known = name.replace("_", "-")
        if name.startswith("_") or known not in FAULTS:
            raise AttributeError(str(UnknownName("fault", known, FAULTS)), name=name, obj=self)

        def call(
            service: str,
            *,
            duration: float | str = DURATION,
            seed: int | None = None,
            replay: str | Path | None = None,
            **parameters: Any,  # noqa: ANN401 - the fault's own fields
        ) -> Injection:
            return self.call(known, service, parameters, duration=duration, seed=seed, replay=replay)

        call.__name__, call.__doc__ = name, FAULTS[known].__doc__
        call.__qualname__ = f"{type(self).__name__}.{name}"
        return call

    def __dir__(self) -> list[str]:
        """The faults too: a prompt completes them."""
        return [*super().__dir__(), *(name.replace("-", "_") for name in FAULTS)]

    def __repr__(self) -> str:
        """Which environment's."""
        return f"<faults of environment {self._ward.name!r}>"

    def call(
        self,
        fault: str,
        service: str,
        parameters: dict[str, Any],
        *,
        duration: float | str = DURATION,
        seed: int | str | None = None,
        replay: str | Path | None = None,
        holder: str = "",
    ) -> Injection:
        """Inject the fault of that name; the values may be text, as on the command line. `holder` as in `Wish`.

        Raises:
            UsageError: something is wrong with the request; nothing was changed.
            FaultError: as `inject`.

        """
        replayed = None
        if replay is not None:
            before = earlier(self._ward.journal, replay)
            if (before.fault, before.service) != (fault, service):
                raise UsageError(
                    f"an earlier {fault} on {service} to repeat",
                    f"{before.id} was {before.fault} on {before.service}",
                    f"repeat it with `envctl chaos {before.fault} {before.service} --replay {replay}`",
                )
            # What is said now comes before what was said then.
            parameters, seed, replayed = {**before.parameters, **parameters}, before.seed, before.choices
        number = int(seed) if isinstance(seed, str) and seed.isdecimal() else seed
        made, seconds = make(fault, service, parameters, duration, number, SERVICES.get(service))
        return inject(self._ward, made, service, Wish(seconds, cast("int | None", number), replayed, holder))

    def inject(
        self, service: str, fault: Fault, *, duration: float | str = DURATION, seed: int | None = None
    ) -> Injection:
        """Put a fault in force: `chaos.inject("redis", Pause())`.

        Raises:
            UsageError: something is wrong with the request; nothing was changed.
            FaultUnfit: the service or the engine cannot have it; nothing was changed.
            FaultConflict: a fault in force stands in its way; nothing was changed.
            FaultDidNotBite: it took no effect; it was healed again.

        """
        if not isinstance(fault, Fault):
            raise UsageError("a service and then a fault", repr(fault), '`chaos.inject("redis", Pause())`')
        seconds, wanted = read(in_seconds, duration)
        if wanted or not 0 < seconds <= LONGEST:
            raise UsageError("a duration of more than 0 and at most 24h", repr(duration), "such as 5 or '500ms'")
        if wanted := seed_wanted(seed):
            raise UsageError(wanted, repr(seed), "such as 7")
        return inject(self._ward, fault, service, Wish(seconds, seed))

    def heal(self, *faults: str) -> list[Healed]:
        """Heal these faults, by id, or all that are in force. Idempotent; those that are over are left out.

        Raises:
            UnknownName: there never was such a fault; nothing was healed.
            HealFailed: a service is not what it was; the others are healed all the same.

        """
        for fault in faults:
            self._ward.journal.find(fault)
        if len(faults) == 1:
            outcome = heal(self._ward, faults[0])
            return [outcome] if outcome else []
        healed, failed = heal_all(self._ward, lambda entry: not faults or entry.id in faults)
        if len(failed) == 1:
            raise failed[0]
        if failed:
            raise ExceptionGroup("not every fault could be healed", failed)
        return healed

    def status(self) -> list[Entry]:
        """What is in force, in the order of injection."""
        return self._ward.journal.entries()

    def lost(self) -> list[Entry]:
        """What is gone and would still be in force: somebody restarted its container, or killed what held it."""
        return self._ward.journal.lost()

    def operation(self, name: str, **data: object) -> Operation:
        """A block of a client's work, to be told in the history between the faults: `ok`, `fail` or `info`.

        ::

            with env.chaos.operation("transfer", token=7) as one, db.transaction():
                ...
        """
        return Operation(self._ward.journal, name, data)

    def history(self) -> list[dict[str, Any]]:
        """Every change of state of every fault of this environment and every `operation`, on one clock."""
        return self._ward.journal.history()

    def list(self, services: Sequence[str] = ()) -> list[listing.Row]:
        """Every fault for each service that is there: whether it can be had of this engine, and why not."""
        return listing.rows(self._ward, services)

"""A fault in force, as whoever injected it holds it."""

from __future__ import annotations

import contextvars
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from envctl.chaos.healing import Healed, heal
from envctl.engine import owner
from envctl.errors import Busy, FaultError, StateFolderError, VictimNeverCame
from envctl.journal import Stage
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from types import TracebackType

    from envctl.chaos.ward import Ward
    from envctl.faults.fault import Fault
    from envctl.journal import Entry
    from envctl.reports import Verdict
    from envctl.site import Site


class Injection:
    """One fault that bites. As a context manager it is healed at the block's end, and also when this process dies.

    `evidence` is what was measured; `verdict` what became of transactions, where the fault is about these.
    """

    def __init__(self, ward: Ward, entry: Entry, fault: Fault, site: Site) -> None:
        self.id, self.service, self.fault, self.seed = entry.id, entry.service, fault, entry.seed
        self.evidence: dict[str, Any] = entry.evidence
        self.choices: dict[str, Any] = entry.choices
        self.healed: Healed | None = None
        self._ward, self._site = ward, site
        self._verdict: Verdict | None = None
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._expires = entry.expires
        attend = contextvars.copy_context().run
        self._attending = threading.Thread(
            target=attend, args=(self._attend, entry), name=f"fault-{entry.id}", daemon=True
        )
        if fault.attended:
            self._attending.start()

    def __enter__(self) -> Self:
        """Have it end with this process too."""
        with self._ward.journal.holding(self.id):
            if (entry := self._ward.journal.get(self.id)) is not None:
                self._ward.journal.save(replace(entry, holder=owner.this_process()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Heal. What goes wrong, before or then, is raised, but never in the place of the block's own error."""
        failures: list[BaseException] = []
        try:
            self.heal()
        except Exception as problem:  # noqa: BLE001 - told below
            failures.append(problem)
        if self._error is not None:
            failures.insert(0, self._error)
        if error is None and failures:
            raise failures[0] if len(failures) == 1 else BaseExceptionGroup(f"{self.id}", failures)
        for failure in failures:
            if error is not None:
                error.add_note(f"and then: {failure}")

    def __repr__(self) -> str:
        """Its id, where, and how it stands, as far as this object knows."""
        how = self.healed.stage if self.healed else f"{max(0.0, self.left):.1f} s left"
        return f"<{self.id} on {self.service}: {how}>"

    @property
    def left(self) -> float:
        """Seconds until it is healed by itself."""
        return self._expires.left

    @property
    def in_force(self) -> bool:
        """Whether it still is; also what another process healed is not."""
        return self._ward.journal.get(self.id) is not None

    @property
    def failure(self) -> BaseException | None:
        """Why it could not do what it does by itself, once that is known."""
        return self._error

    @property
    def gives_verdict(self) -> bool:
        """Whether the fault has said what became of transactions, by now."""
        return self._verdict is not None

    @property
    def verdict(self) -> Verdict:
        """What became of the transactions; waits until that is known.

        Raises:
            VictimNeverCame: nobody did what the fault waited for.
            AttributeError: the fault is not about transactions.

        """
        self.wait()
        if self._verdict is None:
            raise AttributeError(f"{self.fault.name} gives no verdict: it is not about transactions")
        return self._verdict

    def wait(self) -> None:
        """Wait until the fault has done what it does by itself (kill its victim, say); at most until its time is over.

        Raises:
            VictimNeverCame: it could not.
            FaultError: it is not done, long after its time was over.

        """
        self._join(self.left)
        self._stop.set()
        self._join(self.fault.heals_within)
        if self._error is not None:
            raise self._error
        if self._attending.is_alive():
            found = f"it still waits for {self.service}, {self.fault.heals_within:g} s after its time was over"
            advice = f"see `envctl status`, and heal it: `envctl chaos heal {self.id}`"
            raise FaultError(f"what {self.fault.name} does by itself, done", found, advice, self.id)

    def last(self) -> None:
        """Wait until it is over: its time, what it does by itself, or whoever healed it first."""
        if not self.fault.momentary:
            until(self._over, float("inf"), f"{self.id} over")

    def _over(self) -> None:
        done = self._verdict is not None or self._error is not None
        if not done and self.left > 0 and self.in_force:
            raise NotReady(f"{self.left:.1f} s left")

    def heal(self) -> Healed:
        """Heal now, and prove that the service is what it was before. Idempotent, also when somebody else healed it.

        Raises:
            HealFailed: it is not.

        """
        self._stop.set()
        self._join(self.fault.heals_within)
        if self.healed is None:
            self.healed = heal(self._ward, self.id, self._site) or self._by_another()
        return self.healed

    def _by_another(self) -> Healed:
        entry = self._ward.journal.ended(self.id)
        if entry is None:
            return Healed(self.id, self.fault.name, self.service, Stage.LOST, 0, {}, "its environment is gone")
        proof, ms = entry.evidence.get("healed", {}), int(entry.evidence.get("healed_ms", 0))
        return Healed(self.id, entry.fault, entry.service, entry.stage, ms, proof, entry.problem)

    def _without_victim(self, error: VictimNeverCame) -> VictimNeverCame:
        """Why nobody came. Who heals takes the gate away from under whoever waits in it: what that looked like there is
        not the reason.
        """
        over = self.left <= 0
        with suppress(Busy, StateFolderError), self._ward.journal.holding(self.id):
            healed = self._ward.journal.get(self.id) is None
            if over or healed:
                found = "none came before its time was over" if over else "it was healed before one came"
                told = VictimNeverCame(error.wanted, found, error.advice, self.id)
                told.__cause__ = error
                return told
        return error

    def _join(self, seconds: float) -> None:
        if self.fault.attended:
            self._attending.join(seconds)

    def _attend(self, entry: Entry) -> None:
        try:
            self._verdict = self.fault.attend(self._site, entry.plan, self._stop)
        except VictimNeverCame as error:
            self._error = self._without_victim(error)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._error = error
        if self._verdict is not None:
            self._ward.journal.say("fault.verdict", entry, verdict=self._verdict.to_json())

"""What heals without the injector: the warden, and every verb that touches an environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from envctl.chaos import warden
from envctl.chaos.injecting import Wish, inject
from envctl.engine import owner
from envctl.errors import FaultDidNotBite
from envctl.journal import Entry, Expiry, Journal
from envctl.protocols import NotReady
from envctl.waiting import pause, until
from tests.unit.chaos.toys import BEFORE, Scribble, Stubborn, ToyWard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.site import Site

PATIENCE = 30.0


@contextmanager
def watched(ward: ToyWard) -> Iterator[threading.Thread]:
    """A warden at work in this process; it ends with the environment's folder."""
    with ward.journal.planning():
        pass  # the folder is there: a warden holds its place in it
    thread = threading.Thread(target=warden._watch, args=(ward,), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        shutil.rmtree(ward.folder.path, ignore_errors=True)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def in_force(ward: ToyWard, service: str) -> None:
    """Raises until nothing is in force on a service."""
    if any(entry.service == service for entry in ward.journal.entries()):
        raise NotReady("in force")


def test_it_heals_when_the_time_is_over(ward: ToyWard) -> None:
    """Not before."""
    with watched(ward):
        injection = inject(ward, Scribble(), "redis", Wish(duration=3))
        assert ward.server().read("word.txt") == "broken"
        until(lambda: in_force(ward, "redis"), PATIENCE, "healed")
        assert injection.left == 0
        assert ward.server().all() == BEFORE


def test_one_service_that_cannot_be_healed_keeps_no_other_waiting(ward: ToyWard) -> None:
    """Each has a thread of its own."""
    with watched(ward):
        inject(ward, Stubborn(), "postgres", Wish(duration=0.1))
        inject(ward, Scribble(), "redis", Wish(duration=0.1))
        until(lambda: in_force(ward, "redis"), PATIENCE, "redis healed")
        assert [entry.service for entry in ward.journal.entries()] == ["postgres"]


def test_it_heals_at_once_what_was_tied_to_a_process_that_died(ward: ToyWard) -> None:
    """Its time was not over."""
    program = "from envctl.engine import owner; print(owner.this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        holder = process.stdout.readline().strip()
        with watched(ward):
            injection = inject(ward, Scribble(), "redis", Wish(duration=3600, holder=holder))
            assert injection.in_force
            process.kill()
            process.wait()
            until(lambda: in_force(ward, "redis"), PATIENCE, "healed")
            assert ward.server().all() == BEFORE


def test_while_it_is_injected_a_fault_is_tied_to_its_injector(ward: ToyWard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an injection is nobody's wish, however long the whole was to last."""
    written: list[Entry] = []
    save = Journal.save
    monkeypatch.setattr(Journal, "save", lambda journal, entry: (written.append(entry), save(journal, entry))[1])
    inject(ward, Scribble(), "redis", Wish(duration=3600)).heal()
    assert [entry.holder for entry in written] == [owner.this_process(), owner.this_process(), ""]


def test_a_verb_heals_what_is_overdue_and_nothing_else(ward: ToyWard, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as it can in a moment."""
    monkeypatch.setattr(warden, "ensure", lambda _: None)
    late, young = inject(ward, Scribble(), "redis", Wish()), inject(ward, Scribble(), "postgres", Wish())
    entry = ward.journal.get(late.id)
    assert entry is not None
    ward.journal.save(replace(entry, expires=Expiry.after(0)))
    warden.heal_overdue(ward)
    assert [entry.id for entry in ward.journal.entries()] == [young.id]


def test_a_verb_does_not_wait_for_who_heals_already(ward: ToyWard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at an environment is short."""
    monkeypatch.setattr(warden, "ensure", lambda _: None)
    late = inject(ward, Scribble(), "redis", Wish(duration=0.01))
    time_before = time.monotonic()
    with ward.journal.holding(late.id):
        warden.heal_overdue(ward)
    assert time.monotonic() - time_before < PATIENCE
    assert late.in_force


def test_after_a_boot_everything_is_overdue(ward: ToyWard) -> None:
    """The clock that the time was taken on began anew."""
    injection = inject(ward, Scribble(), "redis", Wish(duration=3600))
    entry = ward.journal.get(injection.id)
    assert entry is not None
    assert not warden.overdue(entry)
    assert warden.overdue(replace(entry, expires=replace(entry.expires, boot="another")))
    injection.heal()


def test_an_environment_that_went_stays_gone(ward: ToyWard) -> None:
    """Whoever still holds a fault of it does not bring its folder back."""
    injection = inject(ward, Scribble(), "redis", Wish())
    shutil.rmtree(ward.folder.path)
    assert injection.heal().problem == "its environment is gone"
    assert not ward.folder.path.exists()


def test_a_fault_whose_environment_went_meanwhile_is_no_success(ward: ToyWard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it comes back."""
    apply = Scribble.apply

    def gone(*args: object) -> None:
        apply(*args)  # type: ignore[arg-type]
        shutil.rmtree(ward.folder.path)

    monkeypatch.setattr(Scribble, "apply", gone)
    with pytest.raises(FaultDidNotBite, match="gone"):
        inject(ward, Scribble(), "redis", Wish())
    assert not ward.folder.path.exists()


def test_whoever_deletes_the_journal_keeps_no_fault_in_force(ward: ToyWard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else knows of it any more. What was healed before is left alone, and the folder does not come back."""
    looks: list[float] = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        pause(seconds)

    def looked(times: int) -> None:
        if len(looks) < times:
            raise NotReady("it has not looked")

    monkeypatch.setattr(warden, "pause", look)
    with watched(ward):
        inject(ward, Scribble(), "redis", Wish())
        over = inject(ward, Scribble(), "postgres", Wish())
        seen = len(looks) + 2
        until(lambda: looked(seen), PATIENCE, "both seen in force")
        over.heal()
        seen = len(looks) + 2
        until(lambda: looked(seen), PATIENCE, "one seen healed")
        (ward.server("postgres").folder / "word.txt").write_text("of the test's own")
    assert ward.server().all() == BEFORE
    assert ward.server("postgres").read("word.txt") == "of the test's own"
    assert not ward.folder.path.exists()


def test_what_lost_its_journal_knows_who_is_still_locked_out(ward: ToyWard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last injected is healed first, and proven as one that the identity cannot prove yet."""
    known: list[bool] = []
    recovered = Scribble.recovered

    def noting(fault: Scribble, site: Site, plan: dict[str, object]) -> dict[str, object]:
        known.append(site.locked_out)
        return recovered(fault, site, plan)

    first = inject(ward, Scribble(thing="identity app"), "redis", Wish())
    second = inject(ward, Scribble(), "redis", Wish())
    entries = [entry for entry in map(ward.journal.get, (second.id, first.id)) if entry is not None]
    shutil.rmtree(ward.folder.path)
    monkeypatch.setattr(Scribble, "recovered", noting)
    warden._heal_unrecorded(ward, entries)
    assert known == [True, False]
    assert ward.server().all() == BEFORE

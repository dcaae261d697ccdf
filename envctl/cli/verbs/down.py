"""`envctl down` and `envctl gc`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from envctl.cli.options import Verb
from envctl.config.durations import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envctl.cli.run import Run
    from envctl.model import Leak, Resource


@click.command("down", cls=Verb)
@click.option("--all", "everything", is_flag=True, help="All environments of this engine.")
@click.option("--no-check", is_flag=True, help="Do not look whether everything is gone.")
@click.option("--grace", default="0", metavar="SECONDS", help="Time for services to stop by themselves (0).")
@click.pass_obj
def down_verb(run: Run, /, *, everything: bool, no_check: bool, grace: str) -> None:
    """Take everything down and prove it gone.

    Removes containers, networks, volumes and helper processes, also after a crash and without the compose files;
    then looks for each. What is still there is named with the reason, and the exit code is 3.
    """
    settings, patience = run.settings(), seconds(grace)
    from envctl import fleet

    with run.watching():
        report = fleet.down(settings, everything=everything, check=not no_check, grace=patience)
    _refuse(report.leaks, f"everything of {', '.join(report.environments)} gone")
    run.result(environments=list(report.environments), removed=_resources(report.removed), leaks=[])
    nothing = "nothing to remove" + ("" if everything else f": no environment is named {settings.name!r}")
    proof = "not checked" if no_check else "nothing is left"
    run.say(f"removed {_counted(report.removed)}; {proof}" if report.removed else nothing)


@click.command("gc", cls=Verb)
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@click.pass_obj
def gc_verb(run: Run, /, *, dry_run: bool) -> None:
    """Remove what provably belongs to the dead.

    Environments whose owner died or whose time to live passed, and halves of interrupted work. Everything else is
    kept, with the reason.
    """
    from envctl import fleet

    with run.watching():
        report = fleet.collect_garbage(dry_run=dry_run)
    _refuse(report.leaks, "everything of the dead gone")
    dead, kept = _reasons(report.dead), _reasons(report.kept)
    run.result(dry_run=dry_run, dead=dead, removed=_resources(report.removed), kept=kept)
    verb = "would remove" if dry_run else "removed"
    lines = [f"{verb} {name}: {reason}" for name, reason in report.dead] or ["nothing belongs to the dead"]
    run.say("\n".join([*lines, *(f"kept {name}: {reason}" for name, reason in report.kept)]))


def _reasons(verdicts: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"environment": name, "reason": reason} for name, reason in verdicts]


def _refuse(leaks: Sequence[Leak], wanted: str) -> None:
    """End with exit code 3 and every leak named, where there is one."""
    if leaks:
        from envctl.errors import LeakFound

        raise LeakFound(wanted, leaks, "remove what holds them, then run `envctl down` again")


def _counted(removed: Iterable[Resource]) -> str:
    """`3 containers, 1 network`."""
    counts = Counter(resource.kind for resource in removed)
    return ", ".join(f"{count} {kind if count == 1 else _plural(kind)}" for kind, count in counts.items())


def _plural(kind: str) -> str:
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _resources(removed: Iterable[Resource]) -> list[dict[str, object]]:
    return [{"kind": each.kind, "name": each.name, "id": each.id, "environment": each.environment} for each in removed]

"""`envctl doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from envctl.cli import output
from envctl.cli.options import Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.cli.run import Run
    from envctl.engine.doctor import Action, Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor", cls=Verb)
@click.option("--fix", "mend", is_flag=True, help="Do what is safe, and say each thing that was done.")
@click.pass_obj
def doctor_verb(run: Run, /, *, mend: bool) -> int:
    """Tell whether envctl will work here, and mend it.

    Each line: the state, what was found, what it means, what to do. Nothing is changed without --fix; an engine that
    is there is used as it is even then. Exit code 4: no usable engine; 1: something else fails; 0: all works.
    """
    from envctl.engine import doctor

    actions: Sequence[Action] = doctor.fix(run.say) if mend else ()
    findings = doctor.examine()
    code = doctor.exit_code(findings)
    if run.json:
        output.show_json(
            {
                "ok": code == 0,
                "exit_code": code,
                "actions": [asdict(action) for action in actions],
                "findings": [finding.to_json() for finding in findings],
            }
        )
    else:
        output.show(_table(findings))
    return code


def _table(findings: Sequence[Finding]) -> str:
    """A line for each finding; what to do stands below where there is something to do."""
    width = max(len(finding.check) for finding in findings)
    return "\n".join(line for finding in findings for line in _lines(finding, width))


def _lines(finding: Finding, width: int) -> list[str]:
    state = output.colour(f"{finding.state:<4}", fg=_COLOURS[finding.state])
    line = f"{state}  {finding.check:<{width}}  {finding.found}: {finding.meaning}"
    return [line, f"{'':<{width + 8}}do: {finding.advice}"] if finding.advice else [line]

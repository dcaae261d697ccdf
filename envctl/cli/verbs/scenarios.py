"""`envctl chaos run` and `envctl chaos scenarios`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from envctl.cli import output
from envctl.cli.options import Verb
from envctl.errors import Interrupted, NoSuchEnvironment, UsageError

if TYPE_CHECKING:
    from envctl.cli.run import Run
    from envctl.config import Settings
    from envctl.environment import Environment
    from envctl.scenarios.model import Scenario
    from envctl.scenarios.replaying import Past


@click.command("run", cls=Verb)
@click.argument("scenario", required=False)
@click.option("--seed", type=int, metavar="N", help="Where chance decides, it starts from this number.")
@click.option("--replay", metavar="FILE", help="Do again what this history tells: the same seed, the same choices.")
@click.option("--history", metavar="FILE", help="Write the history here; else into the environment's own folder.")
@click.option(
    "--up", "bring_up", is_flag=True, help="Bring up what it needs where nothing is up; take that down again."
)
@click.pass_obj
def run_verb(
    run: Run, /, *, scenario: str | None, seed: int | None, replay: str | None, history: str | None, bring_up: bool
) -> int:
    """Run a scenario, and say whether what it claims held.

    SCENARIO is a name (`envctl chaos scenarios`), or the path of a YAML file. Everything is checked before anything is
    hurt, and whatever is hurt is healed. Exit code 0 when it held, 1 when not, 2 when the file is wrong, 130
    when it was broken off.
    """
    from envctl.scenarios.verdict import BrokenOff

    if scenario is None and replay is None:
        raise UsageError("a scenario, or --replay FILE", "neither", "`envctl chaos scenarios` lists those that ship")
    try:
        with run.watching(plain=True), ExitStack() as stack:
            env, made = _environment(run, scenario, replay, stack, bring_up=bring_up)
            if made and history is None:
                history = f"{made.name}.history.jsonl"
            verdict = env.chaos.run(scenario, seed=seed, replay=replay, history=history)
        code = 0 if verdict.held else 1
    except BrokenOff as ended:
        verdict, code = ended.verdict, Interrupted.exit_code
    if run.json:
        output.show_event("result", {"ok": verdict.held, "exit_code": code, **verdict.to_json()})
    run.say(str(verdict))
    return code


@click.command("scenarios", cls=Verb)
@click.pass_obj
def scenarios_verb(run: Run, /) -> None:
    """List the scenarios that can be run by their names."""
    from envctl.scenarios.finding import beside
    from envctl.scenarios.listing import summaries

    found = summaries(beside(run.settings().seeds))
    if run.json:
        output.show_json([summary.to_json() for summary in found])
        return
    rows = [
        [s.name, "envctl" if s.shipped else str(s.file.parent), " ".join(s.services), s.problem or s.description]
        for s in found
    ]
    output.show(output.table(["scenario", "from", "needs", "what it claims"], rows))
    output.show(f"\n`{run.command('chaos run SCENARIO')}` runs one; a path to a file of your own does, too")


def _environment(
    run: Run, scenario: str | None, replay: str | None, stack: ExitStack, *, bring_up: bool
) -> tuple[Environment, Scenario | None]:
    """The environment; one that is made for this run comes with its scenario, and goes when the stack is closed.

    Raises:
        NoSuchEnvironment: there is none, and none is to be made; the advice has what the scenario needs.
        UsageError: there is none, and the scenario is wrong.

    """
    from envctl import environment
    from envctl.engine import owner
    from envctl.scenarios.possible import needed

    settings = run.settings()
    try:
        return environment.attach(settings), None
    except NoSuchEnvironment as absent:
        found = _scenario(settings, scenario, replay)
        services = needed(found)
        if not bring_up:
            words = " ".join(f"--service {name}" for name in services)
            advice = f"make it with `{run.command(f'up {words}')}`, or for this run alone with --up"
            raise NoSuchEnvironment(absent.wanted, absent.found, advice) from absent
        made = environment.up(run.settings(services=services, files_exist=True), owner=owner.this_process())
        return stack.enter_context(made), found


def _scenario(settings: Settings, scenario: str | None, replay: str | None) -> Scenario:
    """What is to be run, as far as that can be told without an environment."""
    from envctl.scenarios import finding, reading, replaying

    if scenario is not None:
        return reading.load(scenario, folders=finding.beside(settings.seeds)).scenario
    past: Past = replaying.past(replay or "")
    return reading.of_page(past.page(), past.scenario, folder=past.folder).scenario

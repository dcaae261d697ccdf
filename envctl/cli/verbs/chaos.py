"""`envctl chaos list|status|heal` and `envctl chaos FAULT SERVICE`."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from envctl.cli import chaos_view, completion, output
from envctl.cli.options import Group, Verb
from envctl.cli.verbs import scenarios
from envctl.errors import FaultError, Interrupted, UsageError

if TYPE_CHECKING:
    from envctl.chaos.calls import Chaos
    from envctl.chaos.injection import Injection
    from envctl.cli.run import Run
    from envctl.faults.fault import Fault, Option


class Faults(Group):
    """The verbs, and a command for each fault of the catalog, made of its fields."""

    kind = "fault or verb of `envctl chaos`"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, then the faults."""
        from envctl.catalog import FAULTS

        return [*super().list_commands(ctx), *FAULTS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A verb, or the command of a fault; None for neither."""
        from envctl.catalog import FAULTS

        return super().get_command(ctx, cmd_name) or (fault_command(FAULTS[cmd_name]) if cmd_name in FAULTS else None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs and the faults, each under its heading."""
        from envctl.catalog import FAULTS

        verbs = [(name, self.commands[name].get_short_help_str(100)) for name in super().list_commands(ctx)]
        with formatter.section("Verbs"):
            formatter.write_dl(verbs)
        with formatter.section("Faults (envctl chaos FAULT SERVICE)"):
            formatter.write_dl([(name, fault.summary) for name, fault in FAULTS.items()])


@click.group("chaos", cls=Faults, subcommand_metavar="FAULT SERVICE | VERB ...")
def chaos_verb() -> None:
    """Hurt a service: every fault bites, heals and leaves proof.

    A fault returns when it is healed: after --for (30 s), at once where it is over by itself, or at Ctrl-C. It is
    healed too when this command is killed.
    """


chaos_verb.add_command(scenarios.run_verb)
chaos_verb.add_command(scenarios.scenarios_verb)


@chaos_verb.command("list")
@click.option("--service", "services", multiple=True, metavar="S", help="Only this service; repeatable.")
@click.pass_obj
def list_verb(run: Run, /, *, services: tuple[str, ...]) -> None:
    """Show what can be done to which service here, and why not where it cannot."""
    rows = _chaos(run, attached=False).list(services)
    if run.json:
        output.show_json([asdict(row) for row in rows])
    else:
        output.show(chaos_view.matrix(rows))


@chaos_verb.command("status")
@click.pass_obj
def status_verb(run: Run, /) -> None:
    """Show the faults that are in force, and those that were lost before their time was over."""
    chaos = _chaos(run)
    entries, lost = [entry.public() for entry in chaos.status()], chaos.lost()
    if run.json:
        # Their stage tells them from those that are in force.
        output.show_json([*entries, *(entry.public() for entry in lost)])
    else:
        output.show(chaos_view.in_force(entries) + chaos_view.lost(lost))


@chaos_verb.command("heal")
@click.argument("faults", nargs=-1, metavar="[ID]...")
@click.pass_obj
def heal_verb(run: Run, /, *, faults: tuple[str, ...]) -> None:
    """Heal faults by ID, or all that are in force, and prove it.

    What is healed already is fine. One that cannot be healed stays in the journal and is told with its difference.
    """
    chaos = _chaos(run)
    with run.watching():
        healed = chaos.heal(*faults)
    run.result(healed=[asdict(one) for one in healed])
    run.say(chaos_view.healed(healed))


def fault_command(fault: type[Fault]) -> click.Command:
    """The command of one fault; its fields are its options."""
    from envctl.catalog import SERVICES
    from envctl.faults.fault import options

    def help_of(option: Option) -> str:
        words = {name: fault.words(service).get(option.name, {}) for name, service in SERVICES.items()}
        return chaos_view.described(option) + chaos_view.by_service(words)

    own = [
        click.Option(
            [*filter(None, [option.flag, option.also]), option.name],
            help=help_of(option),
            metavar=chaos_view.metavar(option),
        )
        for option in options(fault)
    ]
    text = f"{fault.summary}\n\n{inspect.getdoc(fault)}"
    return Verb(
        fault.name,
        params=[click.Argument(["service"], shell_complete=completion.services), *own, *_common()],
        callback=click.pass_obj(lambda run, /, **given: _inject(run, fault.name, **given)),
        help=text,
        short_help=fault.summary,
    )


def _common() -> list[click.Option]:
    """What every fault takes."""
    return [
        click.Option(
            ["--for", "lasting"], metavar="TIME", help="How long: 500ms, 5s, 2m; at most 24h.  [default: 30s]"
        ),
        click.Option(["--hold"], is_flag=True, help="Until Ctrl-C, or this process's end."),
        click.Option(["--detach"], is_flag=True, help="Return when it bites; it is healed when its time is over."),
        click.Option(["--seed"], metavar="N", help="Where chance decides, it starts from this number."),
        click.Option(["--replay"], metavar="ID|FILE", help="Make the choices of an earlier injection again."),
    ]


def _inject(
    run: Run,
    fault: str,
    /,
    *,
    service: str,
    lasting: str | None,
    hold: bool,
    detach: bool,
    seed: str | None,
    replay: str | None,
    **given: str | None,
) -> None:
    from envctl.catalog import FAULTS
    from envctl.chaos.injecting import DURATION, LONGEST
    from envctl.engine import owner

    if hold and (detach or lasting is not None):
        raise UsageError("--hold alone, or --for with or without --detach", "both", "`--hold` lasts until Ctrl-C")
    if detach and FAULTS[fault].attended:
        raise UsageError(f"{fault} in a process that stays", "--detach", "leave --detach out: it ends with its victim")
    chaos, parameters = _chaos(run), {name: value for name, value in given.items() if value is not None}
    duration: float | str = LONGEST if hold else lasting if lasting is not None else DURATION
    holder = "" if detach else owner.this_process()
    with run.watching():
        injection = chaos.call(fault, service, parameters, duration=duration, seed=seed, replay=replay, holder=holder)
        record: dict[str, Any] = {"id": injection.id, "fault": fault, "service": service}
        record |= {"parameters": injection.fault.parameters(), "seed": injection.seed}
        record |= {"choices": injection.choices, "evidence": injection.evidence}
        if detach:
            run.result(**record, in_force=True)
            run.say(chaos_view.injected(injection, f"; `envctl chaos heal {injection.id}` ends it"))
            return
        run.say(chaos_view.injected(injection, ", until Ctrl-C" if hold else ""))
        _until_over(injection, held=hold)
    healed = injection.healed
    verdict = injection.verdict if injection.gives_verdict else None
    run.result(**record, healed=asdict(healed) if healed else None, verdict=verdict.to_json() if verdict else None)
    run.say(chaos_view.over(injection, verdict))


def _until_over(injection: Injection, *, held: bool) -> None:
    """Wait until its time is over, it has done what it is for, or Ctrl-C; then heal.

    Raises:
        Interrupted: Ctrl-C, though nobody asked for `--hold`; it is healed all the same.
        FaultError: somebody else ended it, by a restart for example: what should have met it has not.

    """
    interrupted = False
    try:
        injection.last()
    except KeyboardInterrupt:
        interrupted = True
    injection.heal()
    if injection.failure is not None:
        raise injection.failure
    if interrupted and not held:
        raise Interrupted(f"{injection.id} for its whole time", "broken off", "it is healed")
    if not held and injection.healed is not None and injection.healed.stage == "lost":
        lost = injection.healed.problem
        raise FaultError(
            f"{injection.id} for its whole time", f"lost: {lost}", "what is left of it is gone; inject anew"
        )


def _chaos(run: Run, *, attached: bool = True) -> Chaos:
    """The faults of this run's environment; `attached`: which must be there."""
    from envctl import environment
    from envctl.chaos.calls import Chaos
    from envctl.chaos.ward import Ward

    settings = run.settings()
    if attached:
        return environment.attach(settings).chaos
    return Chaos(Ward(settings.name, settings=settings))

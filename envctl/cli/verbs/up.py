"""`envctl up` and `envctl wait`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from envctl.cli import completion, phrases, seed_view
from envctl.cli.endpoints import endpoints
from envctl.cli.options import Verb
from envctl.seeding.memory import spare

if TYPE_CHECKING:
    from envctl.cli.run import Run
    from envctl.reports import UpReport

_TIMEOUT = click.option("--timeout", metavar="SECONDS", help="For all services together; 120, or 90s, 2m.")
_SERVICES = click.option(
    "--service", "services", multiple=True, metavar="S", help="Repeatable.", shell_complete=completion.services
)


@click.command("up", cls=Verb)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="P",
    help="core, streaming, lake, full, or one of your compose files'; repeatable.",
    shell_complete=completion.profiles,
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="S",
    help="A single service with what it needs; repeatable.",
    shell_complete=completion.services,
)
@click.option(
    "--file", "files", multiple=True, metavar="COMPOSE.yaml", type=click.Path(), help="Your own services; repeatable."
)
@click.option(
    "--seed",
    "dataset",
    metavar="DATASET",
    help="Load this dataset, each service as soon as it is ready.",
    shell_complete=completion.datasets,
)
@click.option("--scale", metavar="F", help="The dataset's size as a factor (1).")
@_TIMEOUT
@click.option("--images", metavar="auto|registry|packages", help="Where images may come from (auto).")
@click.option("--ports", metavar="prefer|strict|auto", help="Standard ports: when free, or fail, or never (prefer).")
@click.option("--ttl", metavar="2h", help="Take it down when it was not used for this long.")
@click.option("--fast/--no-fast", default=None, help="Buy speed with durability (fsync and the like off).")
@click.option("--relay/--no-relay", default=None, help="Publish all ports by a relay, for faults that need no rights.")
@click.option("--recreate", is_flag=True, help="Make every container anew, changed or not.")
@click.option("--keep-on-failure", is_flag=True, help="Leave what is there when it fails, for a look at it.")
@click.pass_obj
def up_verb(run: Run, /, *, recreate: bool, keep_on_failure: bool, **options: object) -> None:
    """Bring services up and wait until each one answered.

    Returns when every service answered a real request of its own client on its published port, and the dataset is in
    them, where one is named. What is up and unchanged is left alone; what changed is made anew.
    """
    settings = run.settings(files_exist=True, **options)
    from envctl import environment

    if settings.dataset is not None:
        spare()
    with run.watching():
        env = environment.up(settings, recreate=recreate, keep_on_failure=keep_on_failure)
    status, report = env.status(), env.report()
    run.result(**status.to_json(), **_report_json(report))
    loaded = ["", seed_view.summary(report.seed)] if report.seed else []
    steps = _next_steps(run, list(status.services))
    run.say("\n".join(["", endpoints(status), *loaded, "", _summary(report), "", steps]))


@click.command("wait", cls=Verb)
@_SERVICES
@_TIMEOUT
@click.pass_obj
def wait_verb(run: Run, /, *, services: tuple[str, ...], timeout: str | None) -> None:
    """Wait until the services are ready again.

    For the time after a fault, or in a second shell: all services of the environment, or only those named.
    """
    settings = run.settings(timeout=timeout, services=services)
    from envctl import environment

    env = environment.attach(settings)
    with run.watching():
        env.wait(settings.services, settings.timeout)
    run.result(**env.status().to_json())
    run.say(f"{settings.name}: ready")


def _report_json(report: UpReport) -> dict[str, object]:
    phases = {name: asdict(phase) for name, phase in report.services.items()}
    return {
        "attached": report.attached,
        "ms": report.ms,
        "phases": phases,
        "critical_path": list(report.critical_path),
        "seed": asdict(report.seed) if report.seed else None,
        "recreated": {name: list(differences) for name, differences in report.recreated.items()},
    }


def _summary(report: UpReport) -> str:
    """How long it took, and which service cost what: the slowest first, for `up` took as long as that one."""
    if report.attached:
        return f"already up and unchanged: attached in {phrases.duration(report.ms)}"
    costs = [f"{name} {phrases.duration(report.services[name].ready_ms)}" for name in report.critical_path]
    return f"up in {phrases.duration(report.ms)}; slowest first: {', '.join(costs)}"


def _next_steps(run: Run, services: list[str]) -> str:
    shell = next((name for name in ("postgres", "redis", *services) if name in services), "SERVICE")
    hand_over = 'eval "$(' + run.command("env --format shell") + ')"'
    steps = {
        hand_over: "connection data for your shell",
        run.command(f"shell {shell}"): "its own client, logged in",
        run.command("down"): "everything gone, and proof of it",
    }
    width = max(map(len, steps))
    return "\n".join(["next:", *(f"  {step:<{width}}  # {why}" for step, why in steps.items())])

"""`envctl seed`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from envctl.cli import completion, seed_view
from envctl.cli.options import Verb
from envctl.errors import Interrupted, UsageError
from envctl.seeding.memory import spare

if TYPE_CHECKING:
    from envctl.cli.run import Run
    from envctl.config import Settings


@click.command("seed", cls=Verb)
@click.argument("dataset", required=False, shell_complete=completion.datasets)
@click.option("--scale", metavar="F", help="The size as a factor: 0.01 keeps the shape at a hundredth of it.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="S",
    help="Only into this service; repeatable.",
    shell_complete=completion.services,
)
@click.option("--verify", is_flag=True, help="Load nothing: compare what is in the services with what was loaded.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Connections or threads for each service.")
@click.option("--force", is_flag=True, help="Load it anew, and remove whatever stands in the way.")
@click.pass_obj
def seed_verb(
    run: Run,
    /,
    *,
    dataset: str | None,
    scale: str | None,
    services: tuple[str, ...],
    verify: bool,
    jobs: int | None,
    force: bool,
) -> None:
    """Load a dataset, or compare what is there with it.

    DATASET is a name (`envctl datasets` lists them) or the path of a YAML file of your own; without one, what the
    configuration names. What is loaded already is left alone, what was broken off is gone on with, and another
    dataset is removed first.
    """
    settings = run.settings(dataset=dataset, scale=scale, services=services)
    spare()
    if verify:
        if force:
            raise UsageError("either --verify or --force", "both")
        _verify(run, settings, named=dataset is not None)
        return
    if settings.dataset is None:
        advice = "`envctl seed small`; `envctl datasets` lists all; `dataset:` in the configuration names one for good"
        raise UsageError("a dataset to load", "none was named", advice)
    from envctl import environment

    env = environment.attach(settings)
    try:
        with run.watching():
            report = env.seed(
                settings.dataset, scale=settings.scale, services=settings.services, jobs=jobs, force=force
            )
    except KeyboardInterrupt:
        raise Interrupted("the dataset loaded", "broken off", "run the same command again: it goes on") from None
    run.result(**asdict(report))
    run.say(f"\n{seed_view.summary(report)}")


def _verify(run: Run, settings: Settings, *, named: bool) -> None:
    from envctl import environment

    env, wanted = environment.attach(settings), settings.dataset if named else None
    with run.watching():
        report = env.verify_seed(wanted, scale=settings.scale, services=settings.services)
    run.result(**asdict(report))
    run.say(f"\n{seed_view.verified(report)}")

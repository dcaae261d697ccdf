"""`envctl images list|build|pull|prune`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from envctl.cli import output
from envctl.cli.options import EVERYWHERE, Group, global_options
from envctl.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.cli.run import Run
    from envctl.engine.images import ImageRow, Workshop

_MEGABYTE = 1_000_000


def _shop(run: Run) -> Workshop:
    """The images of this run's configuration on this engine."""
    from envctl.engine.connect import locate
    from envctl.engine.docker_engine import DockerEngine
    from envctl.images import workshop

    return workshop(run.settings(), DockerEngine(locate()))


@click.group("images", cls=Group, invoke_without_command=True, params=global_options(hidden=True), epilog=EVERYWHERE)
@click.pass_context
def images_verb(ctx: click.Context) -> None:
    """List, build, pull or prune images."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_verb)


@images_verb.command("list")
@click.pass_obj
def list_verb(run: Run, /) -> None:
    """Show which images are here and where each came from."""
    from envctl.engine.images import list_images

    rows = list_images(_shop(run))
    if run.json:
        output.show_json({"images": [asdict(row) for row in rows]})
    else:
        output.show(output.table(["image", "origin", "size", "created", "reference"], [_row(row) for row in rows]))


@images_verb.command("build")
@click.argument("names", nargs=-1, metavar="[IMAGE]...")
@click.pass_obj
def build_verb(run: Run, /, *, names: tuple[str, ...]) -> None:
    """Build images from package registries: all, or those named.

    What is built already and unchanged costs nothing; an interrupted build goes on where it stopped.
    """
    from envctl.engine.images import build_all

    shop = _shop(run)
    wanted = list(names or shop.catalogue.images)
    with run.watching():
        build_all(shop, wanted)
    run.result(images=wanted)
    run.say(f"built and up to date: {', '.join(wanted)}")


@images_verb.command("pull")
@click.argument("names", nargs=-1, metavar="[IMAGE]...")
@click.pass_obj
def pull_verb(run: Run, /, *, names: tuple[str, ...]) -> None:
    """Pull the official images by their pinned digests: all, or those named."""
    from envctl.engine.images import Wish, pull_all

    shop = _shop(run)
    chosen = [shop.catalogue[name] for name in names or shop.catalogue.images]
    wishes = [Wish(each.service, each.official.at(shop.mirror), each.size) for each in chosen if each.official]
    with run.watching():
        outcomes = pull_all(shop, wishes)
    _raise_all([outcome for outcome in outcomes.values() if isinstance(outcome, ImageError)])
    pulled = [str(wish.reference) for wish in wishes]
    run.result(images=pulled)
    run.say(f"pulled: {', '.join(pulled) or 'nothing, for no registry holds these'}")


@images_verb.command("prune")
@click.pass_obj
def prune_verb(run: Run, /) -> None:
    """Remove images that envctl built and that nothing uses any more.

    Pulled images stay: they may serve others.
    """
    from envctl.engine.images import prune

    with run.watching():
        pruned = prune(_shop(run))
    removed, kept = [each for each in pruned if not each.reason], [each for each in pruned if each.reason]
    run.result(removed=[asdict(each) for each in removed], kept=[asdict(each) for each in kept])
    freed = sum(each.size for each in removed) / _MEGABYTE
    lines = [f"removed {len(removed)} images, {freed:.0f} MB"]
    run.say("\n".join([*lines, *(f"kept {each.name}: {each.reason}" for each in kept)]))


def _raise_all(errors: Sequence[ImageError]) -> None:
    """Every image that could not be had, each with its reason."""
    if len(errors) > 1:
        raise ExceptionGroup("images that could not be pulled", errors)
    if errors:
        raise errors[0]


def _row(row: ImageRow) -> list[str]:
    size = f"{row.size / _MEGABYTE:.0f} MB" if row.size else ""
    return [row.name, row.origin, size, row.created[:10], row.reference]

"""What a shell offers behind TAB: names from the catalog. Never asks the engine: TAB must not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def services(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of envctl's own services."""
    from envctl.catalog import SERVICES

    return [name for name in SERVICES if name.startswith(incomplete)]


def profiles(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of envctl's own profiles."""
    from envctl.catalog import PROFILES

    return [name for name in PROFILES if name.startswith(incomplete)]

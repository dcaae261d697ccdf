"""Identities whose rights nobody can take away: those that are not there, and envctl's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.errors import FaultUnfit, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterable


def require_revocable(kind: str, name: str, known: Iterable[str], own: str) -> None:
    """See that an identity is there and is not `own`, with which envctl itself works.

    Raises:
        FaultUnfit: it is not there, with the nearest name; or it is envctl's own.

    """
    known = [one for one in known if one != own]
    if name == own:
        advice = f"name another one: {', '.join(known) or 'there is none'}"
        raise FaultUnfit(f"a {kind} whose rights can be taken away", f"{name} is envctl's own, and heals", advice)
    if name not in known:
        unknown = UnknownName(kind, name, known)
        raise FaultUnfit(unknown.wanted, unknown.found, unknown.advice)

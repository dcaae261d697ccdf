"""A Redis that cuts clients whose answers pile up: its output buffers' hard limit, very low."""

from __future__ import annotations

import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Conversation, Refusal, text
from envctl.services.redis.chaos.probes import close_live, identity
from envctl.services.redis.chaos.settings import SettingsWay
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.site import Site

JSON = dict[str, Any]

_SETTING = "client-output-buffer-limit"
_BEYOND = 64 << 10
"""Bytes of an answer beyond the limit: 16 KiB for each client are not counted."""
_MOST = 16 << 20
_CLASS_SIZE = 4


class CutOutputBuffers(SettingsWay):
    """`client-output-buffer-limit`, for one class of clients."""

    names = (_SETTING,)
    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {"of": MappingProxyType({"normal": "clients that give commands", "pubsub": "clients that have subscribed"})}
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """No limit, and one that cannot be tried out."""
        if not 0 < wanted["limit"] <= _MOST:
            yield f"--limit: wanted more than 0 and at most 16MiB, found {wanted['limit']}"

    def during(self, server: Conversation, wanted: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, str]:
        """The three limits of one class; those of the others as they are."""
        del server
        words = before[_SETTING].split(" ")
        classes = [words[start : start + _CLASS_SIZE] for start in range(0, len(words), _CLASS_SIZE)]
        ours = wanted["of"] or "normal"
        low = [[name, str(wanted["limit"]), "0", "0"] if name == ours else [name, *rest] for name, *rest in classes]
        return {_SETTING: " ".join(word for one in low for word in one)}

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """A client of envctl's own whose answer, or message, is larger is cut; and the server has counted it."""
        del seen
        close_live(site)
        before = _cut(site)
        told = (_subscribed if wanted["of"] == "pubsub" else _asked)(site, wanted["limit"] + _BEYOND)
        counted = _cut(site) - before
        if not counted:
            raise NotReady(f"a client was told {told!r}, yet not for its output buffer")
        return {"client": told, "cut": counted}


def _cut(site: Site) -> int:
    """Clients cut for their output buffers since the server's start; since 7.0.4 it counts them."""
    with Conversation(site.at, admin_of(site.at)) as server:
        lines = dict(line.partition(":")[::2] for line in text(server.ask("INFO", "stats")).splitlines())
    return int(lines["client_output_buffer_limit_disconnections"])


def _asked(site: Site, size: int) -> str:
    with Conversation(site.at, identity(site)) as app:
        return _ended(app, "EVAL", f"return string.rep('x', {size})", "0")


def _subscribed(site: Site, size: int) -> str:
    channel = f"envctl:probe:{secrets.token_hex(8)}"
    with Conversation(site.at, identity(site)) as app, Conversation(site.at, identity(site)) as other:
        app.ask("SUBSCRIBE", channel)
        other.ask("EVAL", f"return redis.call('PUBLISH', ARGV[1], string.rep('x', {size}))", "0", channel)
        return _ended(app)


def _ended(one: Conversation, *command: str) -> str:
    """How its connection ended.

    Raises:
        NotReady: it did not.

    """
    try:
        one.ask(*command) if command else one.reply()
    except Refusal:
        raise
    except NotReady as reason:
        if "no answer" in str(reason):
            raise
        return str(reason)
    raise NotReady("an answer beyond the limit came through")

"""`read-only` on PostgreSQL: every transaction that does not say otherwise is read-only."""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.postgres.chaos import settings
from envctl.services.postgres.chaos.sessions import HOME, answering, connect
from envctl.services.postgres.session import Session
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_NAME = "default_transaction_read_only"
_KEPT, _TIMEOUT = "read-only", 5.0
_WRITE = "CREATE TEMPORARY TABLE envctl_write (x int) ON COMMIT DROP"
_REFUSED = "(25006)"
_IN_FORCE = f"SELECT setting, source FROM pg_catalog.pg_settings WHERE name = '{_NAME}'"


class ReadOnly:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """It takes no parameters."""
        del wanted
        return ()

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """The setting."""
        del wanted
        return (_NAME,)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """What ALTER SYSTEM had set, and that nothing else has: that would have the last word.

        Raises:
            FaultUnfit: something has.

        """
        del wanted
        with connect(site, "postgres") as db:
            recorded = settings.written(db, [_NAME])
        with Session(site.at, app_of(site.at), HOME, _TIMEOUT) as session:
            [[value, source]] = session.query(_IN_FORCE)
        if value == "on" or source not in {"default", "configuration file"}:
            raise FaultUnfit(
                "a server whose transactions write unless they are told otherwise",
                f"{_NAME} is {value} by {source}",
                "remove that, or use read-only-disk",
            )
        return {"settings": recorded}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Set it, and have the server read it. A live session of the tests' own identity is opened before."""
        del wanted, seen
        live = site.kept[_KEPT] = Session(site.at, app_of(site.at), "postgres", site.lasts + _TIMEOUT)
        live.query("SELECT 1")
        with connect(site, "postgres") as db, answering():
            db.execute(f"ALTER SYSTEM SET {_NAME} = on".encode())
            db.execute("SELECT pg_catalog.pg_reload_conf()")

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """A live session and a new one may not write."""
        del wanted, seen
        if isinstance(live := site.kept.get(_KEPT), Session):
            site.kept[_KEPT] = _refusal(live)
            live.__exit__(None)
        with Session(site.at, app_of(site.at), "postgres", _TIMEOUT) as new:
            return {"live": site.kept.get(_KEPT), "new": _refusal(new)}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Set it back, or take it out; where the server ended meanwhile, start it."""
        del wanted
        if isinstance(live := site.kept.pop(_KEPT, None), Session):
            with suppress(NotReady):  # it went already
                live.__exit__(None)
        site.bring_up()
        with connect(site, "postgres") as db:
            settings.restore(db, seen["settings"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """The file says what it said, and a new session may write."""
        del wanted
        with connect(site, "postgres") as db:
            if (now := settings.written(db, [_NAME])) != seen["settings"]:
                raise NotReady(f"wanted {seen['settings']} in postgresql.auto.conf, found {now}")
        with Session(site.at, app_of(site.at), HOME, _TIMEOUT) as session:
            [[value, _]] = session.query(_IN_FORCE)
        if value != "off":
            raise NotReady(f"{_NAME} is {value} still")
        return {"settings": "equal", _NAME: value}


def _refusal(session: Session) -> str:
    """The words with which a write is refused.

    Raises:
        NotReady: it is not, or for another reason.

    """
    try:
        session.query(_WRITE)
    except NotReady as said:
        if _REFUSED in str(said):
            return str(said)
        raise
    raise NotReady("a session may write")

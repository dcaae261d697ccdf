"""Finding the victim: the server itself looks, many times a second, and stops a process in the moment that it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.postgres.chaos.aims import IN_DOUBT
from envctl.services.postgres.chaos.gates import MARK, WAIT
from envctl.services.postgres.chaos.sessions import answering

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from envctl.services.postgres.chaos.sessions import Connection

JSON = dict[str, Any]

THAW, GLANCE = 10, 1
"""Seconds after which a process goes on by itself that was stopped to be kept, or to be looked at, whatever has become
of envctl.
"""

_SLICE = 0.25
_GATE_LOOK = 0.01
_OPEN_LOOK = 0.001
"""Seconds between two looks at a gate, where the victim waits, and at transactions that nothing holds. While there are
some whose statements are counted, it looks without a pause."""

# Looks until there is a victim or the slice is over; what it found and has seen stays in settings of the session.
_LOOK = """
DO $look$
DECLARE
  victim integer;
  seen jsonb := coalesce(nullif(pg_catalog.current_setting('envctl_chaos.seen', true), ''), '{{}}')::jsonb;
  over timestamptz := clock_timestamp() + interval '{slice} s';
  one record; before jsonb; so_far integer; busy boolean;
BEGIN
  WHILE clock_timestamp() < over LOOP
    PERFORM pg_catalog.pg_stat_clear_snapshot();
    busy := false;
    {look}
    EXIT WHEN victim IS NOT NULL;
    IF NOT busy THEN PERFORM pg_catalog.pg_sleep({pause}); END IF;
  END LOOP;
  PERFORM pg_catalog.set_config('envctl_chaos.seen', seen::text, false);
  PERFORM pg_catalog.set_config('envctl_chaos.victim', coalesce(victim::text, ''), false);
END $look$
"""

_IN_GATE = """
    SELECT l.pid INTO victim FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'advisory' AND NOT l.granted AND l.classid = {key} AND l.objid = {wait} AND l.objsubid = 2
    ORDER BY l.waitstart LIMIT 1;
"""

# Nobody but us ends this wait, there is no standby: a process that is seen in it is in it when it is let go. In one
# look, for who comes into it after the look for a victim may be one.
_IN_COMMIT = """
    FOR one IN SELECT a.pid, {who} AND {marked} AS fits FROM pg_catalog.pg_stat_activity a
      WHERE a.wait_event = 'SyncRep' ORDER BY fits DESC, a.query_start LOOP
      IF one.fits THEN
        victim := one.pid;
        EXIT;
      END IF;
      PERFORM pg_catalog.pg_cancel_backend(one.pid);
    END LOOP;
"""

_MARKED = """EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
      AND l.classid = {key} AND l.objid = {mark} AND l.objsubid = 2)"""

# Stop, look again, and let go what went on meanwhile, or is writing to the disk, which the others wait for. Who is kept
# is looked at once more: it may have gone on by itself just before.
_SEIZE = """
      EXECUTE {stop};
      {again}
      IF victim IS NOT NULL THEN
        EXECUTE {keep};
        {again}
        EXIT WHEN victim IS NOT NULL;
      END IF;
      EXECUTE {thaw};
"""

_AGAIN = """
      PERFORM pg_catalog.pg_stat_clear_snapshot();
      SELECT a.pid INTO victim FROM pg_catalog.pg_stat_activity a
      WHERE a.pid = one.pid AND a.xact_start = one.xact_start AND a.wait_event_type IS DISTINCT FROM 'IO' AND {still};
"""

_IN_TRANSACTION = """
    FOR one IN SELECT a.pid, a.xact_start, a.backend_xid FROM {source} a
      WHERE a.backend_xid IS NOT NULL AND {who} AND ({where}) ORDER BY a.xact_start LOOP
      {seize}
    END LOOP;
"""

# A statement of the extended protocol is told to begin three times, when it is parsed, bound and executed: a new one is
# one after a rest, or of another text. So one may be missed, and none is counted twice.
_COUNTING = r"""
    FOR one IN SELECT a.pid, a.xact_start, a.query_start, a.query, a.state FROM {source} a
      WHERE a.xact_start IS NOT NULL AND {who} AND ({where}) ORDER BY a.xact_start LOOP
      busy := true;
      before := seen -> one.pid::text;
      IF before ->> 'of' IS DISTINCT FROM one.xact_start::text THEN
        before := '{{"count": 0, "idle": true}}'::jsonb;
      END IF;
      so_far := (before ->> 'count')::integer;
      IF before ->> 'at' IS DISTINCT FROM one.query_start::text AND one.query !~* '^\s*(begin|start)\M'
        AND ((before ->> 'idle')::boolean OR before ->> 'query' <> one.query) THEN
        so_far := so_far + 1;
      END IF;
      seen := jsonb_set(seen, ARRAY[one.pid::text], jsonb_build_object('of', one.xact_start::text,
        'at', one.query_start::text, 'query', one.query, 'idle', one.state <> 'active', 'count', so_far));
      CONTINUE WHEN so_far < {statements};
      {seize}
    END LOOP;
"""

# The view joins two catalogs, which takes longer than a statement of a fast client; a condition may name its columns.
_VIEW = "pg_catalog.pg_stat_activity"
_SESSIONS = "(SELECT *, pg_catalog.pg_get_userbyid(usesysid) AS usename FROM pg_catalog.pg_stat_get_activity(NULL))"

_STILL_WRITING = "a.backend_xid = one.backend_xid"
_STILL_OPEN = "(a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL OR a.state LIKE 'idle in transaction%')"


@dataclass(frozen=True)
class Lookout:
    """How one aim's victim is recognised, as a statement for the watching session."""

    statement: bytes

    def find(self, watcher: Connection, stop: threading.Event) -> int:
        """The victim's process.

        Raises:
            NotReady: `stop` was set before one came, or the watching session was ended: the fault was healed elsewhere.

        """
        with answering():
            while not stop.is_set():
                watcher.execute(self.statement)
                [[found]] = watcher.execute("SELECT pg_catalog.current_setting('envctl_chaos.victim')").fetchall()
                if found and not stop.is_set():
                    return int(found)
        raise NotReady("its time was over, or it was healed")


def lookout(aim: Mapping[str, Any], survey: JSON, admin: str) -> Lookout:
    """For a gate, who waits in it; without one, who is in a transaction that fits."""
    who, key = _who(aim, admin), survey["key"]
    if aim["at"] == IN_DOUBT:
        marked = _MARKED.format(key=key, mark=MARK) if survey["table"] else "true"
        return _made(_IN_COMMIT.format(who=who, marked=marked), _GATE_LOOK)
    if survey["table"]:
        return _made(_IN_GATE.format(key=key, wait=WAIT), _GATE_LOOK)
    where = aim["where"] or "true"
    seize = _SEIZE.format(
        stop=_each(attempt("%1$s")),
        keep=_each(program("STOP", "%1$s", THAW)),
        thaw=_each(program("CONT", "%1$s")),
        again=_AGAIN.format(still=_STILL_OPEN if aim["after_statements"] else _STILL_WRITING),
    )
    look = _COUNTING if aim["after_statements"] else _IN_TRANSACTION
    return _made(
        look.format(
            source=_VIEW if aim["where"] else _SESSIONS,
            who=who,
            where=f"{where}\n",
            seize=seize,
            statements=aim["after_statements"],
        ),
        _OPEN_LOOK,
    )


def program(signal: str, pids: str, thaw: int = 0) -> str:
    """A statement that has the server's own shell send a signal to processes of the server, 3 ms after it is sent.

    With `thaw` they go on after so many seconds. What waits for that ignores the signals that the server sends to its
    sessions and all that they have started: the server takes any but a good end of a process that it inherits for the
    crash of one of its own.
    """
    later = f"sleep {thaw}; kill -CONT {pids}" if thaw else ""
    return _shell(f"kill -{signal} {pids}", later)


def attempt(pid: str) -> str:
    """A statement that stops a process of the server to look at it; within `GLANCE` seconds it is kept or goes on.

    A process that is stopped while it holds a lock of the server's own keeps that look from ever ending, and everybody
    else from beginning a transaction. Whoever it was given to, to be kept (see `program`), lets it go later.
    """
    # Who keeps it is found by the words of its command, which are unlike these here, and have no `&` before their end.
    keeper = f"'STOP[ 0-9]* {pid} 2[^&]*sleep [{str(THAW)[0]}]{str(THAW)[1:]};'"
    kept = f"cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q {keeper}"
    return _shell(f"kill -STOP {pid}", f"sleep {GLANCE}; {kept} || kill -CONT {pid}")


def _shell(now: str, later: str) -> str:
    later = f"(trap '' HUP INT QUIT TERM; {later}; exit 0) </dev/null >/dev/null 2>&1 &" if later else "true"
    return f"COPY (SELECT WHERE false) TO PROGRAM {_literal(f'{now} 2>/dev/null; {later}')}"


def _each(statement: str) -> str:
    return f"pg_catalog.format({_literal(statement)}, one.pid)"


def _made(look: str, pause: float) -> Lookout:
    return Lookout(_LOOK.format(slice=_SLICE, look=look, pause=pause).encode())


def _who(aim: Mapping[str, Any], admin: str) -> str:
    parts = ["a.backend_type = 'client backend'", "a.pid <> pg_backend_pid()"]
    parts.append(f"a.usename = {_literal(aim['role'])}" if aim["role"] else f"a.usename <> {_literal(admin)}")
    if aim["application"]:
        parts.append(f"a.application_name = {_literal(aim['application'].encode()[:63].decode(errors='ignore'))}")
    return " AND ".join(parts)


def _literal(text: str) -> str:
    from psycopg import sql

    return sql.Literal(text).as_string(None)

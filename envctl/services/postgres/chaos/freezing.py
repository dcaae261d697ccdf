"""What is open in the moment of the kill, exactly: everybody is stopped first, then looked at, then killed.

Without that, a transaction that was seen open could commit, and its client be told, before the kill arrives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.postgres.chaos.sessions import answering
from envctl.services.postgres.chaos.watching import THAW, program
from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.services.postgres.chaos.sessions import Connection

JSON = dict[str, Any]

_ROUNDS = 80
_ATTEMPTS = 3
_SHOWN = 300
_SECRET = re.compile(r"(password\s*=?\s*)'(?:[^']|'')*'", re.IGNORECASE)

# Not pg_stat_activity, which reads pg_database: that is locked by then.
_SESSIONS = """
SELECT a.pid, a.wait_event_type IS NOT DISTINCT FROM 'IO'
  OR a.backend_xid IS NULL AND a.backend_xmin IS NULL AND a.wait_event IS DISTINCT FROM 'ClientRead'
  AND a.state NOT LIKE 'idle in transaction%%'
FROM pg_catalog.pg_stat_get_activity(NULL) a
WHERE a.backend_type IN ('client backend', 'parallel worker') AND a.pid <> ALL(%s)
"""

_OPEN = """
SELECT a.pid, coalesce(a.application_name, ''), pg_catalog.pg_get_userbyid(a.usesysid)::text, a.client_addr::text,
  a.state, a.query, a.backend_xid::text, a.wait_event,
  (SELECT l.virtualxid FROM pg_catalog.pg_locks l
   WHERE l.pid = a.pid AND l.locktype = 'virtualxid' AND l.virtualxid = l.virtualtransaction LIMIT 1),
  pg_catalog.pg_blocking_pids(a.pid)
FROM pg_catalog.pg_stat_get_activity(NULL) a
WHERE a.backend_type = 'client backend' AND a.xact_start IS NOT NULL AND a.pid <> ALL(%s)
ORDER BY a.xact_start
"""

_SEQUENCES = """
SELECT s.seqrelid::regclass::text, pg_catalog.pg_sequence_last_value(s.seqrelid)
FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
WHERE c.relpersistence = 'p' AND pg_catalog.pg_sequence_last_value(s.seqrelid) IS NOT NULL
"""

# It ends by itself where envctl stands still: else nobody could log in any more, not even to heal.
_STOP_LOGINS = """
BEGIN;
SET LOCAL lock_timeout = '500ms';
SET LOCAL idle_in_transaction_session_timeout = '120s';
LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE
"""


@dataclass(frozen=True)
class OpenTransaction:
    """One as the server saw it last. `xid` is the full one of 64 bits, None where nothing was written."""

    pid: int
    application: str
    role: str
    client: str | None
    state: str
    query: str
    xid: int | None
    virtual: str
    waits: str
    blocked_by: tuple[int, ...]


@dataclass(frozen=True)
class Snapshot:
    """What was open; `main` is the server's main process. `unsettled`: sessions that could not be stopped between two
    answers, so that one of them may have committed without an answer and not be listed; `logins_held`: nobody could
    log in after it; `late`: the kill took so long that those who were stopped may have gone on before it.
    """

    transactions: tuple[OpenTransaction, ...]
    frozen: tuple[int, ...]
    sequences: dict[str, int]
    prepared: dict[int, str]
    unsettled: tuple[int, ...]
    logins_held: bool
    main: int
    late: bool = False


def freeze(keeper: Connection, watcher: Connection) -> Snapshot:
    """Stop everybody's sessions but envctl's two, and look.

    A session that is stopped while it holds a lock of the server's own may block the look: then all go on by
    themselves, as they would if envctl died here, and it is tried again.

    Raises:
        NotReady: the server does not answer, or it took too long each time.

    """
    with answering():
        held, ours = _hold_logins(keeper), [keeper.info.backend_pid, watcher.info.backend_pid]
        for _ in range(_ATTEMPTS):
            clock = Deadline(THAW / 2)
            frozen, unsettled = _stop_all(watcher, ours)
            found = look(watcher, ours, frozen, unsettled, logins_held=held)
            if not clock.passed:
                return found
            _let_go(watcher, frozen)
    raise NotReady(f"the sessions could not be stopped and looked at within {THAW / 2:g} s")


def look(
    watcher: Connection,
    ours: Sequence[int],
    frozen: Sequence[int] = (),
    unsettled: Sequence[int] = (),
    *,
    logins_held: bool = False,
) -> Snapshot:
    """What is open now; after it every transaction's number is on disk.

    A number that never reached the disk is given out again after a crash, and then pg_xact_status tells another
    transaction's fate: therefore a committed write, after the last number was given out.
    """
    with answering():
        rows = watcher.execute(_OPEN, [list(ours)]).fetchall()
        sequences: dict[str, int] = dict(watcher.execute(_SEQUENCES).fetchall())
        prepared = watcher.execute("SELECT transaction::text, gid FROM pg_catalog.pg_prepared_xact()").fetchall()
        watcher.execute("SELECT pg_catalog.pg_logical_emit_message(true, 'envctl', '')")
        [[lines]] = watcher.execute("SELECT pg_catalog.pg_read_file('postmaster.pid')").fetchall()
        [[next_]] = watcher.execute(
            "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text"
        ).fetchall()
    return Snapshot(
        tuple(_transaction(row, int(next_), ours) for row in rows),
        tuple(frozen),
        sequences,
        {_full(xid, int(next_)): gid for xid, gid in prepared},
        tuple(unsettled),
        logins_held,
        int(lines.split()[0]),
    )


def thaw(watcher: Connection, pids: Sequence[int]) -> None:
    """Let processes go on."""
    if pids:
        watcher.execute(program("CONT", " ".join(map(str, pids))).encode())


def give_up(keeper: Connection, watcher: Connection, snapshot: Snapshot) -> None:
    """Undo `freeze`."""
    with answering():
        keeper.execute("ROLLBACK")
        _let_go(watcher, snapshot.frozen)


def _let_go(watcher: Connection, pids: Sequence[int]) -> None:
    """Let processes go on, and wait until nothing is left that would do so in the next attempt."""
    thaw(watcher, pids)
    watcher.execute(f"SELECT pg_catalog.pg_sleep({THAW})".encode())


def thaw_all(db: Connection) -> None:
    """Let everybody go on; who was not stopped does not notice."""
    query = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type IN ('client backend', 'parallel worker')"
    thaw(db, [pid for [pid] in db.execute(query).fetchall()])


def _hold_logins(keeper: Connection) -> bool:
    """Have new sessions wait in their login until this session ends. It cannot be had where a transaction reads or
    changes the list of databases.
    """
    import psycopg

    try:
        keeper.execute(_STOP_LOGINS)
    except psycopg.errors.LockNotAvailable:
        keeper.execute("ROLLBACK")
        return False
    return True


def _stop_all(watcher: Connection, ours: list[int]) -> tuple[list[int], list[int]]:
    """Stop all others; who was stopped, and who could not be in a moment that says what it had told its client.

    A session that waits for its client has told it everything. One that has a number has not ended its transaction.
    Between the two, just before an answer, it is let go and stopped again; so is one that writes to the disk, which
    holds locks of the server's own that the look needs: under load somebody nearly always forces the log to disk.
    """
    frozen: set[int] = set()
    between: list[int] = []
    for left in reversed(range(_ROUNDS)):
        rows = watcher.execute(_SESSIONS, [ours]).fetchall()
        if new := [pid for pid, _ in rows if pid not in frozen]:
            watcher.execute(program("STOP", " ".join(map(str, new)), THAW).encode())
            frozen |= set(new)
            continue
        between = [pid for pid, unsettled in rows if unsettled]
        if not between or left < 2:  # noqa: PLR2004 - to let go and to stop again take two rounds
            break
        thaw(watcher, between)
        watcher.execute("SELECT pg_catalog.pg_sleep(0.003)")
        frozen -= set(between)
    return sorted(frozen), between


def _transaction(row: tuple[Any, ...], next_: int, ours: Sequence[int]) -> OpenTransaction:
    pid, application, role, client, state, query, xid, waits, virtual, blockers = row
    shown = _SECRET.sub(r"\1'***'", " ".join(query.split()))
    return OpenTransaction(
        pid,
        application,
        role,
        client,
        state or "",
        shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…",
        _full(xid, next_) if xid else None,
        virtual or "",
        waits or "",
        tuple(one for one in blockers if one not in ours),
    )


def _full(xid: str, next_: int) -> int:
    """The number of 64 bits, of which the server shows 32: the last such before the next one to be given out."""
    found = (next_ & ~0xFFFFFFFF) | int(xid)
    return found if found < next_ else found - (1 << 32)

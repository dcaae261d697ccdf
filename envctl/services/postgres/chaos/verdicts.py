"""What became of every transaction that was open at the kill, by the server's own word after recovery."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from envctl.reports import Fate, Transaction, Verdict
from envctl.services.postgres.chaos.aims import IN_DOUBT
from envctl.services.postgres.chaos.killing import CRASHING, FREEZING
from envctl.services.postgres.chaos.sessions import answering

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.services.postgres.chaos.freezing import OpenTransaction, Snapshot
    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

_TOLD = re.compile(
    r"LOG:\s+((?:database system (?:was|is)|redo (?:starts|done|is not)|all server processes terminated"
    r"|terminating any other|server process \(PID \d+\) was terminated|received \w+ shutdown request).*)"
)
_RECOVERED = "automatic recovery in progress"


def judge(
    site: Site, aim: Mapping[str, Any], victim: int, snapshot: Snapshot, db: Connection, since: float, ms: int
) -> Verdict:
    """The verdict; `since` is the Unix time of the kill, `ms` the time from it to the first answer."""
    means = aim["means"]
    concerned = [one for one in snapshot.transactions if means != "terminate" or one.pid == victim]
    with answering():
        fates = _statuses(db, concerned)
        prepared = {int(xid): gid for xid, gid in _prepared(db)}
        log = _log(site, since)
        problems: list[str] = []
        transactions = tuple(_transaction(one, aim, victim, fates, prepared) for one in concerned)
        problems += _wrong(transactions, aim, fates)
        problems += [
            f"prepared transaction {gid!r} is gone"
            for gid in snapshot.prepared.values()
            if gid not in prepared.values()
        ]
        gaps, backwards = _sequences(db, snapshot)
        [[waiting]] = db.execute(
            "SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT granted AND locktype <> 'advisory'"
        ).fetchall()
    if means == "fast" and any(_RECOVERED in line for line in log):
        problems.append("it was shut down in order, and recovered all the same")
    facts: JSON = {
        "moment": aim["at"],
        "xid_in_doubt": [one.id for one in transactions if one.fate is Fate.IN_DOUBT],
        "prepared": sorted(prepared.values()),
        "locks_waited_for_at_the_kill": sum(bool(one.blocked_by) for one in snapshot.transactions),
        "locks_waited_for_now": waiting,
        "sequence_gaps": gaps,
        "log": log,
        **_exactness(means, snapshot),
    }
    return Verdict(site.name, means, transactions, ms, (*problems, *backwards), facts)


def _exactness(means: str, snapshot: Snapshot) -> JSON:
    """How far the list of transactions can be trusted to be all of them."""
    if means not in FREEZING:
        return {"exact": "the victim" if means == "terminate" else "no: the others went on until the server ended them"}
    doubts = []
    if snapshot.unsettled:
        doubts.append(f"processes {list(snapshot.unsettled)} may have committed without an answer")
    if snapshot.late:
        doubts.append("the kill took so long that those who were stopped may have gone on before it")
    if not snapshot.logins_held:
        doubts.append("whoever logged in between look and kill is not listed")
    return {"exact": "; ".join(doubts) or "all"}


def _statuses(db: Connection, transactions: Sequence[OpenTransaction]) -> dict[int, str | None]:
    numbers = [str(one.xid) for one in transactions if one.xid is not None]
    rows = db.execute("SELECT x, pg_catalog.pg_xact_status(x::xid8) FROM unnest(%s::text[]) x", [numbers]).fetchall()
    return {int(number): status for number, status in rows}


def _prepared(db: Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT transaction::text, gid FROM pg_catalog.pg_prepared_xact()").fetchall()


def _transaction(
    one: OpenTransaction,
    aim: Mapping[str, Any],
    victim: int,
    fates: Mapping[int, str | None],
    prepared: Mapping[int, str],
) -> Transaction:
    status = fates.get(one.xid) if one.xid is not None else "aborted"
    survived = one.xid is not None and one.xid & 0xFFFFFFFF in prepared
    fate = Fate.ROLLED_BACK
    if status == "committed" or survived:
        # An orderly end lets a commit that has begun answer its client; whoever is in the gate gets none.
        told = aim["means"] == "fast" and one.pid != victim and not survived
        fate = Fate.COMMITTED if told else Fate.IN_DOUBT
    facts = {
        "pid": one.pid,
        "application": one.application,
        "role": one.role,
        "client": one.client,
        "xid": one.xid,
        "virtual": one.virtual,
        "state": one.state,
        "query": one.query,
        "wait": one.waits,
        "blocked_by": list(one.blocked_by),
        "status": "prepared" if survived else status if one.xid is not None else "wrote nothing",
    }
    who = f"{one.application or 'no name'} as {one.role}, pid {one.pid}"
    name = f"xid {one.xid}" if one.xid is not None else f"virtual {one.virtual}"
    return Transaction(who, name, f"{one.state}: {one.query}", fate, one.pid == victim, facts)


def _wrong(transactions: Sequence[Transaction], aim: Mapping[str, Any], fates: Mapping[int, str | None]) -> list[str]:
    """What no recovery may do: lose what was durable, keep what was not, know nothing of a transaction."""
    found = [f"xid {xid}: the server calls it {status!r}" for xid, status in fates.items() if status is None]
    for one in transactions:
        if not one.victim or aim["after_statements"]:
            continue
        if aim["at"] == IN_DOUBT and one.fate is Fate.ROLLED_BACK:
            found.append(f"{one.id} was durable before the kill, and is gone")
        elif aim["at"] != IN_DOUBT and aim["table"] and one.fate is not Fate.ROLLED_BACK:
            found.append(f"{one.id} was stopped before its commit, and is committed")
    if aim["means"] in CRASHING:
        found += [f"xid {xid} is still in progress" for xid, status in fates.items() if status == "in progress"]
    return found


def _sequences(db: Connection, snapshot: Snapshot) -> tuple[JSON, list[str]]:
    """Numbers that were skipped; and sequences that went back, which would give numbers out twice."""
    rows = db.execute(
        "SELECT s.seqrelid::regclass::text, pg_catalog.pg_sequence_last_value(s.seqrelid)"
        " FROM pg_catalog.pg_sequence s WHERE s.seqrelid::regclass::text = ANY(%s)",
        [list(snapshot.sequences)],
    ).fetchall()
    after = {name: value for name, value in rows if value is not None}
    gaps = {
        name: {"before": before, "after": after[name]}
        for name, before in snapshot.sequences.items()
        if name in after and after[name] != before
    }
    back = [
        f"sequence {name} went from {gap['before']} back to {gap['after']}"
        for name, gap in gaps.items()
        if gap["after"] < gap["before"]
    ]
    return gaps, back


def _log(site: Site, since: float) -> list[str]:
    """The server's own words about its end and its recovery."""
    lines = site.engine.logs(site.container, since=since)
    return [found[1] for line in lines if (found := _TOLD.search(line.text))]

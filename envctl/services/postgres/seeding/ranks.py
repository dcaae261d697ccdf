"""Which tables go before which: parents where foreign keys stay in place, and last what waits for facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.postgres.seeding import plan

if TYPE_CHECKING:
    from envctl.seeding.world import World
    from envctl.services.postgres.seeding.connection import Connection
    from envctl.services.postgres.seeding.plan import Source

_PARENTS = "SELECT conrelid, confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid"


def ranks(connection: Connection, world: World, sources: list[Source]) -> list[list[Source]]:
    """The tables in groups; each group wants the ones before it to be whole."""
    parents: dict[int, list[int]] = {}
    for child, parent in connection.execute(_PARENTS):
        parents.setdefault(child, []).append(parent)
    by_oid = {source.target.oid: source for source in sources}
    found: dict[int, int] = {}

    waiting = plan.waiting(world)

    def slow(source: Source) -> bool:
        relation = world.relations.get(source.table.relation)
        return relation is not None and any(plan.waits(relation, e, waiting) for e in source.expressions.values())

    def rank(oid: int, above: frozenset[int]) -> int:
        if oid not in found:
            # In a circle of foreign keys no order is right; the server says which row it misses.
            upper = [p for p in parents.get(oid, []) if p in by_oid and p not in above]
            first = len(sources) if slow(by_oid[oid]) else 0
            found[oid] = max([first, *(rank(p, above | {oid}) + 1 for p in upper)])
        return found[oid]

    groups: dict[int, list[Source]] = {}
    for source in sources:
        groups.setdefault(rank(source.target.oid, frozenset()), []).append(source)
    return [groups[number] for number in sorted(groups)]

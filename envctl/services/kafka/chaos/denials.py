"""The lines that deny a principal everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.kafka.requests import Acl, AclLine, Operation, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ALL = (
    (Resource.TOPIC, "*"),
    (Resource.GROUP, "*"),
    (Resource.TRANSACTIONAL_ID, "*"),
    (Resource.CLUSTER, "kafka-cluster"),
)


def of(principal: str) -> list[Acl]:
    """What denies everything to one principal: a DENY wins over any permission, of whatever name or prefix."""
    return [Acl(kind, name, principal, Operation.ALL, allow=False) for kind, name in _ALL]


def lines(found: Iterable[Sequence[object]]) -> list[AclLine]:
    """Lines as a journal keeps them."""
    return [AclLine._make(line) for line in found]

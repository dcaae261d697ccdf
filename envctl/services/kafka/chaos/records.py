"""Kafka's own record of a user: a node in ZooKeeper with its SCRAM keys and its quotas, as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.kafka.chaos.zookeeper import USERS, ZooKeeperSession, node_of, user_of
from envctl.services.kafka.sasl import SCRAM

if TYPE_CHECKING:
    from envctl.site import Site

_PORT = 2181


def zookeeper(site: Site, timeout: float) -> ZooKeeperSession:
    """A session with the ZooKeeper of the same environment.

    Raises:
        NotReady: there is none, or it does not answer.

    """
    for container in site.engine.containers(site.environment):
        if container.service == "zookeeper" and _PORT in container.ports:
            return ZooKeeperSession(site.at.host, container.ports[_PORT], timeout)
    raise NotReady("no ZooKeeper in the environment")


def users(session: ZooKeeperSession) -> list[str]:
    """Everybody with a credential to log in with."""
    return [user for user in map(user_of, session.children(USERS)) if credential(read(session, user))]


def read(session: ZooKeeperSession, user: str) -> str | None:
    """A user's record, None where there is none."""
    node = session.get(_path(user))
    return None if node is None else node.content.decode()


def credential(record: str | None) -> str:
    """The salt, keys and iterations in a record; empty where there are none."""
    return str(_settings(record).get(SCRAM, ""))


def salt_in(record: str | None) -> str:
    """The salt in a record, in base64."""
    return credential(record).partition("salt=")[2].partition(",")[0]


def put_back(session: ZooKeeperSession, user: str, record: str) -> None:
    """Have the record's credential again, to the byte; settings that others changed meanwhile stay as they are."""
    node = session.get(_path(user))
    now = None if node is None else node.content.decode()
    if credential(now) == credential(record):
        return
    settings = _settings(now) | {SCRAM: credential(record)}
    if settings != _settings(record):
        record = json.dumps({"version": 1, "config": settings}, separators=(",", ":"))
    session.put(_path(user), record.encode(), node)


def announce(session: ZooKeeperSession, user: str) -> None:
    """Have the brokers read a user's record anew."""
    session.announce(f"users/{node_of(user)}")


def _settings(record: str | None) -> dict[str, Any]:
    return dict(json.loads(record)["config"]) if record else {}


def _path(user: str) -> str:
    return f"{USERS}/{node_of(user)}"

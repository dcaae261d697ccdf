"""Keys that Redis evicts by itself, because its limit of memory is, for a moment, just below what it uses.

Writes wait in a gate (`CLIENT PAUSE … WRITE`) from the moment in which what may go is recorded until it has gone. The
limit is there for one packet of commands alone, so no client sees it.
"""

from __future__ import annotations

import math
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Conversation, Refusal, text
from envctl.services.redis.chaos.settings import current
from envctl.services.wire import admin_of
from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.services.redis.chaos.picture import Key
    from envctl.site import Site

JSON = dict[str, Any]

_SETTINGS = ("maxmemory", "maxmemory-policy", "maxmemory-clients", "lazyfree-lazy-eviction")
_MOST, _LARGEST = 10_000, 64 << 20
"""Keys and bytes that are recorded at most."""
_PAUSE, _TIME = 15.0, 10.0
"""Seconds until the gate opens by itself, and in which all must be done."""
_MARGIN, _STEP, _SMALLEST = 4096, 256, 48
"""Bytes: from so much above what is in use the limit is lowered, in such steps; no key takes less than the third."""
_NAMED = 5
_LEAST_RECENT, _LEAST_FREQUENT = "those that were not used for longest", "those that are used least"
_POLICIES = {
    "allkeys-lru": _LEAST_RECENT,
    "allkeys-lfu": _LEAST_FREQUENT,
    "allkeys-random": "any",
    "volatile-lru": f"of those with a time to live, {_LEAST_RECENT}",
    "volatile-lfu": f"of those with a time to live, {_LEAST_FREQUENT}",
    "volatile-random": "any of those with a time to live",
    "volatile-ttl": "those whose time is over first",
}


class Evict:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({"policy": MappingProxyType(_POLICIES)})

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """None at all."""
        if not wanted["keys"] and not wanted["share"]:
            yield "--keys: wanted 1 or more, found 0"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Its settings, the gate, and that it is a master: a replica evicts nothing."""
        del wanted
        return ["evict", "role", "transactions", *(f"setting {name}" for name in _SETTINGS)]

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """How many keys it may evict.

        Raises:
            FaultUnfit: too few, or more than can be recorded; or it is a replica.

        """
        policy = wanted["policy"] or next(iter(_POLICIES))
        with Conversation(site.at, admin_of(site.at)) as server:
            if "role:master" not in text(server.ask("INFO", "replication")):
                raise FaultUnfit("a Redis that evicts", "it is a replica", "hurt its master")
            candidates, size = _candidates(server, policy), _number(server, "memory", "used_memory_dataset")
        number = math.ceil(candidates * wanted["share"] / 100) if wanted["share"] else wanted["keys"]
        if candidates > _MOST or size > _LARGEST:
            found = f"{candidates} keys, and {size} bytes of data"
            limit = f"at most {_MOST} keys and {_LARGEST} bytes, which can be recorded and brought back"
            raise FaultUnfit(limit, found, "use a smaller dataset, or memory-pressure")
        if not 0 < number <= candidates:
            kind = "keys with a time to live" if policy.startswith("volatile") else "keys"
            raise FaultUnfit(
                f"{max(number, 1)} {kind} to evict", f"{candidates}", "write some, or give a smaller --keys"
            )
        return {"stash": f"evicted-{secrets.token_hex(6)}", "number": number, "policy": policy}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Record, evict, and record what was evicted."""
        from envctl.services.redis.chaos.stash import Stash, missing, recorded

        del wanted
        stash, shut = Stash(site.environment, seen["stash"]), Deadline(_PAUSE)
        with Conversation(site.at, admin_of(site.at)) as server:
            try:
                server.ask(*_gate())
                keys = list(recorded(server, _keys(server, seen["policy"]), _LARGEST))
                facts = {"emptied": _emptied(server)}
                stash.save(keys, **facts)
                if shut.passed:
                    raise NotReady(f"its keys could not be recorded within {_PAUSE:g} s, for which writes can wait")
                # A connection that has moved nothing large: its buffers, too, are memory in use.
                with Conversation(site.at, admin_of(site.at)) as small:
                    _evict(small, seen)
                gone = missing(server, keys)
                stash.save(gone, **facts, evicted=len(gone))
            finally:
                server.ask("CLIENT", "UNPAUSE")

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """What has gone."""
        from envctl.services.redis.chaos.picture import names
        from envctl.services.redis.chaos.stash import Stash

        del wanted
        stash = Stash(site.environment, seen["stash"])
        if not (number := stash.facts().get("evicted")):
            raise NotReady("no key was evicted")
        some = names((database, key) for database, key, *_ in stash.keys()[:_NAMED])
        return {"evicted": number, "policy": seen["policy"], "keys": [*some, *["…"][: number > _NAMED]]}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Bring back what was evicted and is not there; nothing where somebody has emptied a database meanwhile."""
        from envctl.services.redis.chaos.stash import Stash, brought_back, missing

        del wanted
        stash = Stash(site.environment, seen["stash"])
        facts = stash.facts()
        if not facts or "brought back" in facts:
            return
        with Conversation(site.at, admin_of(site.at)) as server:
            keys = stash.keys() if "evicted" in facts else missing(server, stash.keys())
            if _emptied(server) > facts["emptied"]:
                told = {"brought back": 0, "left": "somebody has emptied a database: its keys stay gone"}
            else:
                told = brought_back(server, keys)
        stash.save([], **facts, **told)

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """What became of each; the record is not needed any more."""
        from envctl.services.redis.chaos.stash import Stash

        del wanted
        stash = Stash(site.environment, seen["stash"])
        told = stash.facts()
        with Conversation(site.at, admin_of(site.at)) as server:
            server.ask("PING")
        stash.remove()
        return {key: value for key, value in told.items() if key != "emptied"} or {"evicted": 0}


def _gate() -> list[str]:
    return ["CLIENT", "PAUSE", str(round(_PAUSE * 1000)), "WRITE"]


def _evict(server: Conversation, seen: JSON) -> None:
    """Have it evict so many keys, or some more where memory is taken elsewhere in that moment.

    Raises:
        NotReady: it does not.

    """
    before = current(server, _SETTINGS)
    off = {"maxmemory": "0", "maxmemory-clients": "0", "lazyfree-lazy-eviction": "no"}
    start = evicted = _number(server, "stats", "evicted_keys")
    below, end = -_MARGIN, Deadline(_TIME)
    while (left := seen["number"] - (evicted - start)) > 0:
        if end.passed:
            raise NotReady(f"{evicted - start} of {seen['number']} keys were evicted in {_TIME:g} s")
        used = int(_facts(_under(server, before, {**before, **off}, "INFO", "memory"))["used_memory"])
        limit = max(1, used - below - left * _SMALLEST // 2)
        policy = {"maxmemory": str(limit), "maxmemory-policy": seen["policy"]}
        _under(server, before, {**before, **off, **policy}, "PING")
        now = _number(server, "stats", "evicted_keys")
        below += (_STEP if below < _MARGIN else below) if now == evicted else 0
        evicted = now


def _under(server: Conversation, before: Mapping[str, str], during: Mapping[str, str], *command: str) -> str:
    """A command's answer under other settings. What waits in the gate goes on when all of this is done."""
    there, back = (["CONFIG", "SET", *(word for pair in some.items() for word in pair)] for some in (during, before))
    replies = server.ask_all([["CLIENT", "UNPAUSE"], there, command, back, _gate()])
    for reply in replies:
        if isinstance(reply, Refusal):
            server.ask(*back)
            raise reply
    return text(replies[2])


def _candidates(server: Conversation, policy: str) -> int:
    """How many keys the policy may take, in all databases."""
    what = "expires" if policy.startswith("volatile") else "keys"
    lines = text(server.ask("INFO", "keyspace")).splitlines()
    databases = [dict(part.partition("=")[::2] for part in line.partition(":")[2].split(",")) for line in lines[1:]]
    return sum(int(one.get(what, 0)) for one in databases)


def _keys(server: Conversation, policy: str) -> list[Key]:
    """Those that the policy may take.

    Raises:
        NotReady: there are more than can be recorded.

    """
    from envctl.services.redis.chaos.picture import all_keys, lasting

    keys = all_keys(server, "*", _MOST)
    if keys is None:
        raise NotReady(f"there are more than {_MOST} keys")
    if policy.startswith("volatile"):
        kept = set(lasting(server, keys))
        keys = [key for key in keys if key not in kept]
    return keys


def _emptied(server: Conversation) -> int:
    """How often somebody has emptied a database, since the server counts."""
    stats = _facts(text(server.ask("INFO", "commandstats")))
    calls = (stats.get(f"cmdstat_{name}", "calls=0,") for name in ("flushall", "flushdb"))
    return sum(int(one.partition("calls=")[2].partition(",")[0]) for one in calls)


def _number(server: Conversation, section: str, name: str) -> int:
    return int(_facts(text(server.ask("INFO", section)))[name])


def _facts(info: str) -> dict[str, str]:
    return dict(line.partition(":")[::2] for line in info.splitlines())

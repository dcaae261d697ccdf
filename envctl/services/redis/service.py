"""Redis: `default` is off; `envctl` may do everything, `app` what clients and tests do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from envctl.errors import redact
from envctl.protocols import NotReady
from envctl.services.redis.chaos.clock import RedisClock
from envctl.services.redis.chaos.credentials import RedisCredentials
from envctl.services.redis.chaos.disk import RedisDisk
from envctl.services.redis.chaos.transactions import RedisTransactions
from envctl.services.redis.chaos.ways import RedisWays
from envctl.services.wire import Wire, admin_of, app_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from envctl.capabilities import HasCredentials, HasPrivileges, HasWays, Transactional
    from envctl.model import Endpoint, Identity
    from envctl.protocols import HasHandle, HasIdentities, HasOptions, HasShell, HasVariables, Service
    from envctl.seeding.loading import Job, Loader, Seedable

# Nobody can log in as `default`, yet it has every right: the append-only file is replayed as `default`, and a
# transaction in it that `default` may not run is dropped with no more than a line in the log (seen with 8.0.2).
DEFAULT_RULES = "user default off resetpass ~* &* +@all"

# Redis counts among the dangerous also what test suites do all day: these are given back. What stays away can change
# the server or other clients: CONFIG, ACL, SHUTDOWN, DEBUG, REPLICAOF, MODULE LOAD, CLIENT KILL, MONITOR …
APP_RULES = (
    "~* &* +@all -@admin -@dangerous +client|list +client|no-evict +client|unblock +flushall +flushdb +info +keys "
    "+lastsave +module|list +restore +role +sort +sort_ro +swapdb"
)


@dataclass(frozen=True)
class RedisHandle:
    """Redis for Python users, as the app identity."""

    endpoint: Endpoint

    @property
    def url(self) -> str:
        """`redis://app:…@host:port/0`."""
        app = app_of(self.endpoint)
        return f"redis://{quote(app.username)}:{quote(app.password, safe='')}@{self.endpoint.address}/0"

    def client(self, **options: Any) -> redis.Redis:  # noqa: ANN401 - handed on as they are
        """A new client; `options` go to `redis.Redis`, for example `db=1`, `decode_responses=True`."""
        import redis

        app = app_of(self.endpoint)
        known = {"host": self.endpoint.host, "port": self.endpoint.port}
        return redis.Redis(**{**known, "username": app.username, "password": app.password, **options})


class Redis(RedisCredentials, RedisTransactions, RedisDisk, RedisClock, RedisWays):
    """Redis 8 (or 7) with an append-only file synced every second."""

    name = "redis"
    ports: Mapping[str, int] = MappingProxyType({"redis": 6379})
    standard: Mapping[str, int] = MappingProxyType({"redis": 6379})
    admin_name = "envctl"
    app_name = "app"
    fast: Mapping[str, str] = MappingProxyType({"appendonly": "no", "save": ""})
    fast_cost = "nothing is written to disk: a restart of Redis begins with an empty database"

    def secret_files(self, admin: Identity, app: Identity) -> Mapping[str, str]:
        """The passwords, and the ACL file, which knows only their hashes."""
        lines = [DEFAULT_RULES, _acl(admin, "~* &* +@all"), _acl(app, APP_RULES), ""]
        return {"admin": admin.password, "acl": "\n".join(lines)}

    def provision(self, at: Endpoint, timeout: float) -> None:
        """See that the ACL file is in force; there is nothing to create.

        Raises:
            NotReady: it is not, or the server does not answer yet.

        """
        names = _ask(at, admin_of(at), timeout, ["ACL", "USERS"])[0]
        if self.app_name not in names.split():
            raise NotReady(f"no user {self.app_name}: the ACL file is not in force")

    def ping(self, at: Endpoint, timeout: float) -> None:
        """Log in as app, get PONG, and see that the data set is loaded."""
        pong, persistence = _ask(at, app_of(at), timeout, ["PING"], ["INFO", "persistence"])
        if pong != "PONG":
            raise NotReady(f"PING answered {pong[:80]!r}")
        # On a server that loads in the background PING is not refused in every version; INFO tells the truth.
        if "loading:0" not in persistence.split():
            raise NotReady("loading its data set")

    def variables(self, at: Endpoint) -> Mapping[str, str]:
        """`REDIS_URL` and its parts."""
        app = app_of(at)
        return {
            "REDIS_URL": RedisHandle(at).url,
            "REDIS_HOST": at.host,
            "REDIS_PORT": str(at.port),
            "REDIS_USERNAME": app.username,
            "REDIS_PASSWORD": app.password,
        }

    def secret_variables(self) -> frozenset[str]:
        """The URL holds the password too."""
        return frozenset({"REDIS_URL", "REDIS_PASSWORD"})

    def shell(self, at: Endpoint) -> tuple[Sequence[str], Mapping[str, str]]:
        """`redis-cli` as app."""
        app = app_of(at)
        return ["redis-cli", "--user", app.username], {"REDISCLI_AUTH": app.password}

    def handle(self, at: Endpoint) -> RedisHandle:
        """Clients as app."""
        return RedisHandle(at)

    def loader(self, at: Endpoint, job: Job) -> Loader:
        """Keys from rules, and files of commands, into database 0."""
        from envctl.services.redis.seeding import RedisLoader

        return RedisLoader(at, job)

    def clear(self, at: Endpoint, footprint: Mapping[str, Any]) -> str:
        """Remove the keys of a footprint."""
        from envctl.services.redis.seeding import clear

        return clear(at, footprint)

    def apply_options(self, model: dict[str, Any], options: Mapping[str, str]) -> None:
        """Directives of redis.conf, appended to the command line, where the last one wins."""
        command = list(model.get("command") or ["redis-server"])
        for directive, value in sorted(options.items()):
            # An empty value is one empty argument (`--save ""`); `$` is compose's own sign in a model.
            command += [f"--{directive}", *(value.replace("$", "$$").split() or [""])]
        model["command"] = command


def _acl(identity: Identity, rules: str) -> str:
    return f"user {identity.username} on #{hashlib.sha256(identity.password.encode()).hexdigest()} {rules}"


def _ask(at: Endpoint, identity: Identity, timeout: float, *commands: Sequence[str]) -> list[str]:
    """Log in, send all commands at once, return the answers; an error reply is `NotReady`."""
    requests = [["AUTH", identity.username, identity.password], *commands]
    with Wire(at.host, at.port, timeout) as wire:
        wire.send(b"".join(_encode(request) for request in requests))
        try:
            return [_answer(wire, identity) for _ in requests][1:]
        except ValueError as error:
            raise NotReady("what answers is not Redis") from error


def _encode(command: Sequence[str]) -> bytes:
    parts = [f"${len(part.encode())}\r\n{part}\r\n" for part in command]
    return f"*{len(parts)}\r\n{''.join(parts)}".encode()


def _answer(wire: Wire, identity: Identity) -> str:
    """One reply as text; arrays joined by spaces."""
    line = wire.line().decode(errors="replace")
    kind, rest = line[:1], line[1:]
    if kind == "-":
        raise NotReady(_refusal(rest, identity))
    if kind == "$":
        return wire.exactly(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == "*":
        return " ".join(_answer(wire, identity) for _ in range(int(rest)))
    if kind not in {"+", ":"}:
        raise ValueError(kind)
    return rest


def _refusal(message: str, identity: Identity) -> str:
    """An error reply in a few words. Servers quote arguments of commands that they do not know: hence `redact`."""
    if message.startswith(("WRONGPASS", "NOAUTH")):
        return f"authentication failed for {identity.username}"
    return redact(message, [identity.password])[:160]


if TYPE_CHECKING:
    _service: Service = Redis()
    _identities: HasIdentities = Redis()
    _options: HasOptions = Redis()
    _variables: HasVariables = Redis()
    _shell: HasShell = Redis()
    _handle: HasHandle = Redis()
    _seedable: Seedable = Redis()
    _credentials: HasCredentials = Redis()
    _privileges: HasPrivileges = Redis()
    _transactional: Transactional = Redis()
    _ways: HasWays = Redis()

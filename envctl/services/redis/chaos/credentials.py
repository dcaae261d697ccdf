"""Taking a Redis user's rights away, open connections included, and giving them back exactly."""

from __future__ import annotations

import hashlib
import re
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit, UnknownName
from envctl.protocols import Lost, NotReady
from envctl.services.redis.chaos.conversation import Conversation, Refusal, text
from envctl.services.refusals import require_revocable
from envctl.services.wire import admin_of, app_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_ALWAYS = frozenset({"auth", "hello", "quit", "reset"})
"""Commands that every connection may give, whatever its user may."""

_SAMPLE = 20
"""Commands that are tried out: enough to see a category go, few enough to be no work."""

_CLOSED = "its connection was closed"


class RedisCredentials:
    """What `revoke-credentials` needs of Redis. Users are the server's own: what `CLIENT SETNAME` says is no matter."""

    revocations: Mapping[str, str] = MappingProxyType(
        {
            "off": "the user is off, and its connections are cut",
            "commands": "all commands are taken, or those of --privilege: NOPERM on open connections too",
            "password": "it has another password, and its connections are cut",
        }
    )
    privilege_mode = "commands"

    def privilege_problems(self, privilege: str, on: str) -> list[str]:
        """A command or a category, or nothing for all; Redis takes no command for some keys alone."""
        found = []
        if privilege and not re.fullmatch(r"@?[a-z0-9_.-]+(\|[a-z0-9_-]+)?", privilege.lower()):
            found.append(f"--privilege: wanted a command (set) or a category (@write), found {privilege!r}")
        if on:
            found.append(f"--on: a command is taken for all keys, found {on!r}")
        return found

    def privilege(self, site: Site, user: str, privilege: str, on: str) -> JSON:
        """Which commands the user may give now and will not."""
        del on
        try:
            return _taken(site, user, privilege.lower())
        except BaseException:
            _close(site)
            raise

    def identity(self, site: Site, user: str, mode: str) -> JSON:
        """The user's line of ACL LIST, whose passwords are hashes. A connection of `app` is opened, to see it cut."""
        del mode
        with _admin(site) as server:
            lines = {_name(line): line for line in _lines(server)}
        require_revocable("user", user, lines, admin_of(site.at).username)
        if lines[user].split(" ")[2] != "on":
            raise FaultUnfit(f"user {user}, which can log in", "it is off", "name another one with --user")
        if site.at.app and user == site.at.app.username:
            site.kept["live"] = Conversation(site.at, site.at.app)
        return {"line": lines[user]}

    def revoke(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """New logins are stopped in the moment in which connections are cut: nothing comes between."""
        rules = {
            "off": ["off"],
            "commands": record.get("rules", []),
            # As a hash, so that no password travels.
            "password": ["resetpass", f"#{hashlib.sha256(secrets.token_bytes(32)).hexdigest()}"],
        }[mode]
        commands: list[Sequence[str]] = [["ACL", "SETUSER", user, *rules]]
        if mode != self.privilege_mode:
            commands.append(["CLIENT", "KILL", "USER", user])
        with _admin(site) as server:
            if user not in map(_name, _lines(server)):
                raise Lost(_gone(user))
            _all_fine(server.ask_all(commands))

    def check_revoked(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """The server says so, and `app` is refused on its open connection and on a new one."""
        with _admin(site) as server:
            now = _line(server, user)
            clients = text(server.ask("CLIENT", "LIST")).splitlines()
            left = sum(f" user={user} " in f"{client} " for client in clients)
            runnable = _runnable(server, user, record.get("sample", []))
        if now == record["line"]:
            raise NotReady(f"the line of {user} in ACL LIST is what it was")
        if mode == self.privilege_mode:
            if runnable:
                raise NotReady(f"{user} may still {', '.join(runnable)}")
            return {"without": record["rules"][0].removeprefix("-"), **_tried(site, all_of=len(record["rules"]) > 1)}
        if left:
            raise NotReady(f"{left} connections of {user} are left")
        return {"changed": mode, "connections": 0, **_tried(site, all_of=True)}

    def restore(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Write the user's line again, in one command, where it is not what it was.

        Users live in the process: a restart has brought back those of the ACL file, and lost all others.
        """
        del mode
        _close(site)
        with _admin(site) as server:
            if _line(server, user) != record["line"]:
                server.ask("ACL", "SETUSER", user, "reset", *record["line"].split(" ")[2:])

    def check_restored(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """The line is the same to the byte, and `app` logs in with its own password."""
        del mode
        with _admin(site) as server:
            if (now := _line(server, user)) != record["line"]:
                raise NotReady(f"the line of {user} in ACL LIST is {_without_hashes(now)}")
        evidence = {"record": "equal"}
        if site.at.app and user == site.at.app.username:
            with Conversation(site.at, site.at.app) as app:
                app.ask("PING")
            evidence["login"] = "with the original password"
        return evidence


def _admin(site: Site) -> Conversation:
    return Conversation(site.at, admin_of(site.at))


def _lines(server: Conversation) -> list[str]:
    return [text(line) for line in server.ask("ACL", "LIST")]


def _name(line: str) -> str:
    return line.split(" ")[1]


def _line(server: Conversation, user: str) -> str:
    """A user's line.

    Raises:
        Lost: there is no such user any more.

    """
    found = [line for line in _lines(server) if _name(line) == user]
    if not found:
        raise Lost(_gone(user))
    return found[0]


def _gone(user: str) -> str:
    return (
        f"user {user} is gone: somebody deleted it while its rights were revoked, or Redis was started anew and its "
        "ACL file does not name it"
    )


def _taken(site: Site, user: str, privilege: str) -> JSON:
    """The rules that take a privilege, and some of the commands that go with it.

    Raises:
        FaultUnfit: the user has none of them, or in a way that one rule does not take.

    """
    with _admin(site) as server:
        (line,) = [line for line in _lines(server) if _name(line) == user]
        if privilege and "(" in line:
            wanted = f"{privilege} taken from {user}"
            raise FaultUnfit(wanted, "it has selectors, each with commands of its own", "take all, or use mode off")
        commands, sample = _commands(server, privilege), list[str]()
        for start in range(0, len(commands), 2 * _SAMPLE):
            sample += _runnable(server, user, commands[start : start + 2 * _SAMPLE])
            if len(sample) >= _SAMPLE:
                break
    if not sample:
        raise FaultUnfit(f"{user} with {privilege or 'a command'}, to be taken away", "it has none", "name another")
    return {"rules": [f"-{privilege}"] if privilege else ["-@all", "clearselectors"], "sample": sample[:_SAMPLE]}


def _commands(server: Conversation, privilege: str) -> list[str]:
    """The commands that `privilege` means, all without one.

    Raises:
        FaultUnfit: the server knows no such command or category.

    """
    known = [text(name) for name in server.ask("COMMAND", "LIST")]
    if not privilege:
        return known
    if not privilege.startswith("@"):
        if privilege not in known:
            _refuse("command", privilege, known)
        return [privilege]
    categories = [text(name) for name in server.ask("ACL", "CAT")]
    if privilege == "@all":
        return known
    if privilege[1:] not in categories:
        _refuse("category of commands", privilege, [f"@{name}" for name in categories])
    return [text(name) for name in server.ask("ACL", "CAT", privilege[1:])]


def _refuse(kind: str, name: str, known: list[str]) -> None:
    unknown = UnknownName(kind, name, known)
    raise FaultUnfit(unknown.wanted, "", unknown.advice[:400])


def _runnable(server: Conversation, user: str, commands: Sequence[str]) -> list[str]:
    """Those of `commands` that the user may give, as the server itself judges; none of them is run."""
    names = [name for name in commands if name not in _ALWAYS]
    known = server.ask_all([["COMMAND", "INFO", name] for name in names])
    tries = []
    for name, found in zip(names, known, strict=True):
        arity = abs(int(found[0][1])) if isinstance(found, list) and found and found[0] else 1
        words = name.split("|")
        tries.append(["ACL", "DRYRUN", user, *words, *["1"] * (arity - len(words))])
    replies = server.ask_all(tries)
    # A user who may give it, but not for the key `1`, may give it.
    return [
        name
        for name, reply in zip(names, replies, strict=True)
        if text(reply) == "OK" or "permissions to access" in text(reply)
    ]


def _all_fine(replies: Sequence[object]) -> None:
    for reply in replies:
        if isinstance(reply, Refusal):
            raise reply


def _tried(site: Site, *, all_of: bool) -> JSON:
    """What `app` was told on the connection that was open, and on a new one, where nothing should be left to it."""
    live: Conversation | None = site.kept.get("live")
    if live is None or not all_of:
        _close(site)
        return {}

    def new() -> None:
        with Conversation(site.at, app_of(site.at)) as app:
            app.ask("PING")

    told = {"live": _refused(lambda: live.ask("PING"), "an open connection"), "new": _refused(new, "a new connection")}
    _close(site)
    return told


def _refused(act: Callable[[], object], what: str) -> str:
    try:
        act()
    except Refusal as refusal:
        return str(refusal)
    except NotReady as reason:
        if "no answer" in str(reason):
            raise
        return _CLOSED
    raise NotReady(f"{what} was not refused")


def _close(site: Site) -> None:
    if (live := site.kept.pop("live", None)) is not None:
        live.close()


def _without_hashes(line: str) -> str:
    return re.sub(r"#[0-9a-f]{64}", "#…", line)

"""Taking a Kafka user's rights away from live and new clients, and giving them back to the byte."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.model import Identity
from envctl.protocols import Lost, NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.chaos import denials, records
from envctl.services.kafka.chaos.probes import ANONYMOUS, Doors
from envctl.services.kafka.sasl import delete_scram, login_plain, login_scram, salt_of, set_scram
from envctl.services.kafka.wire import LOGIN_REFUSED, Connection, Failed
from envctl.services.wire import CLOSED, admin_of, app_of
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

ACL, SCRAM, PASSWORD = "acl", "scram", "password"
_TIMEOUT = 5.0
_WITNESS = "kafka witness"
_WITNESS_SECONDS = 30.0


class KafkaCredentials:
    """Kafka's part of `revoke-credentials`.

    `acl` denies everything to the user and, where it is the tests' own, to whoever is not logged in (the plaintext
    listener): live producers and consumers get authorization errors at their next request (a consumer when its long
    poll ends), and go on afterwards without a new connection. Exactly these lines are added and removed; all other
    rights stay as they are. librdkafka remembers a refusal for some seconds longer, until it asks for metadata again. A
    transactional producer that asks meanwhile is refused its transactional id and ends for good; so does kafka-python's
    idempotent one, its default: their clients must make new ones.

    `scram` deletes the user's SCRAM credential and `password` replaces it by one that nobody knows: new logins are
    refused. Kafka lets live connections go on, so all of the SASL listener are cut, those of other users too, which
    can log in again at once. The plaintext listener knows no credentials: who uses it notices nothing.
    Afterwards the user's record in ZooKeeper is the old one byte for byte: same salt, same keys.

    Of users other than the tests' own envctl does not know the secret: then it looks at the broker's lists and at how
    it answers the begin of a login, in place of trying.

    Not tested by any of them: delegation tokens, certificates, and re-authentication (KIP-368), which this broker does
    not ask for.
    """

    app_name: str
    admin_name: str
    ports: Mapping[str, int]

    revocations: Mapping[str, str] = MappingProxyType(
        {
            ACL: "deny everything on topics, groups, transactions and the cluster, to live clients of both listeners",
            SCRAM: "delete the SCRAM credential and cut the SASL listener's connections",
            PASSWORD: "replace the password by one that nobody knows and cut the SASL listener's connections",
        }
    )

    def identity(self, site: Site, user: str, mode: str) -> JSON:
        """The user's record in ZooKeeper, the lines that name it, and what it may do now."""
        if user == self.admin_name:
            raise FaultUnfit("an identity of the tests", f"{user} is envctl's own", "name another, or none")
        if user == ANONYMOUS and mode != ACL:
            raise FaultUnfit(f"an identity with a password for {mode}", f"{user} is whoever has none", "use mode acl")
        with records.zookeeper(site, _TIMEOUT) as zookeeper:
            record = records.read(zookeeper, user)
            if user != ANONYMOUS and not (records.credential(record) and self._knows(site, user)):
                there = ", ".join(records.users(zookeeper)) or "nobody"
                raise FaultUnfit(f"a Kafka user {user!r} that can log in by SCRAM", f"there: {there}", "name one")
        acls = self._acls(site, user)
        denied = [acl.line for who in acls for acl in denials.of(who) if acl.line not in acls[who]]
        if mode == ACL and not denied:
            raise FaultUnfit(f"rights of {user} to take away", "all are denied to it already", "heal that first")
        return {
            "node": record,
            "acls": {who: [list(line) for line in lines] for who, lines in acls.items()},
            "denials": [list(line) for line in denied] if mode == ACL else [],
            "may": self._tried(site, user) if mode == ACL else {},
        }

    def revoke(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Deny; or take the credential and then cut, as who is cut first would log in again."""
        with self._admin(site) as admin:
            if mode == ACL:
                site.kept[_WITNESS] = Doors(site.at, user, _WITNESS_SECONDS)
                added = denials.lines(record["denials"])
                requests.create_acls(
                    admin, [acl for who in record["acls"] for acl in denials.of(who) if acl.line in added]
                )
            elif mode == SCRAM:
                delete_scram(admin, user)
            else:
                set_scram(admin, Identity(user, secrets.token_urlsafe(32)))
        if mode == ACL:
            return
        try:
            until(lambda: self._refused(site, user, record), _TIMEOUT, f"new logins of {user} refused")
        except TimedOut as error:
            raise NotReady(str(error)) from error
        # Any connection shows it: all of the listener are cut.
        site.kept[_WITNESS] = self._admin(site, _WITNESS_SECONDS)
        self._cut(site)

    def check_revoked(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """Try as the user, on live connections and on new ones; of users with other secrets, look."""
        if mode != ACL:
            found: JSON = {"new login": self._refused(site, user, record), "live connection": self._lost(site)}
            self._dismiss(site)
            return found
        there = [line for lines in self._acls(site, user).values() for line in lines]
        if missing := [line for line in denials.lines(record["denials"]) if line not in there]:
            raise NotReady(f"{len(missing)} of its denials are not in force")
        live = site.kept[_WITNESS].may() if _WITNESS in site.kept else {}
        new = self._tried(site, user)
        if allowed := [name for name in new if new[name] or live.get(name)]:
            raise NotReady(f"{user} still may see {', '.join(allowed)}")
        self._dismiss(site)
        return {"denials": len(record["denials"]), "refused live": list(live), "refused new": list(new)}

    def restore(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Remove the denials that were added; write the record as it was and have the broker read it."""
        self._dismiss(site)
        if mode == ACL:
            with self._admin(site) as admin:
                requests.delete_acls(admin, denials.lines(record["denials"]))
        if user == ANONYMOUS:
            return
        with records.zookeeper(site, _TIMEOUT) as zookeeper:
            if mode != SCRAM and not records.credential(records.read(zookeeper, user)):
                raise Lost(f"the SCRAM credential of {user} was deleted meanwhile")
            if mode != ACL:
                records.put_back(zookeeper, user, record["node"])
                # Also where it was there already: whoever wrote it may have died before he told the broker.
                if self._salt(site, user) != records.salt_in(record["node"]):
                    records.announce(zookeeper, user)

    def check_restored(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """The record is the same, the broker has read it, the denials are gone, the original secret logs in."""
        with records.zookeeper(site, _TIMEOUT) as zookeeper:
            node = records.read(zookeeper, user)
        if records.credential(node) != records.credential(record["node"]):
            raise NotReady(f"the credential of {user} in ZooKeeper is another than before")
        if user != ANONYMOUS and self._salt(site, user) != records.salt_in(node):
            raise NotReady(f"the broker has not read the credential of {user} yet")
        acls = self._acls(site, user)
        if left := [line for line in denials.lines(record["denials"]) if line in acls[line.principal]]:
            raise NotReady(f"{len(left)} of its denials are still there")
        if user == self.app_name:
            with self._connection(site) as connection:
                login_scram(connection, app_of(site.at))
        if mode == ACL and (may := self._tried(site, user)) != record["may"]:
            raise NotReady(f"what {user} may see was {record['may']} and is {may}")
        before = {who: denials.lines(lines) for who, lines in record["acls"].items()}
        return {
            "record": "equal" if node == record["node"] else "equal but for settings that others changed",
            "rights": "equal" if acls == before else "equal but for lines that others changed",
        }

    def _admin(self, site: Site, timeout: float = _TIMEOUT) -> Connection:
        connection = self._connection(site, timeout)
        with ExitStack() as unless_in:
            unless_in.callback(connection.close)
            login_plain(connection, admin_of(site.at))
            unless_in.pop_all()
        return connection

    def _connection(self, site: Site, timeout: float = _TIMEOUT) -> Connection:
        return Connection(site.at.host, site.at.ports["sasl"], timeout)

    def _acls(self, site: Site, user: str) -> dict[str, list[requests.AclLine]]:
        """What names the user, and with the tests' own whoever is not logged in: that is the tests' too."""
        principals: Sequence[str] = [user, ANONYMOUS] if user == self.app_name else [user]
        with self._admin(site) as admin:
            return {who: requests.describe_acls(admin, who) for who in (f"User:{one}" for one in principals)}

    def _tried(self, site: Site, user: str) -> dict[str, bool]:
        doors = Doors(site.at, user, _TIMEOUT)
        try:
            return doors.may()
        finally:
            doors.close()

    def _salt(self, site: Site, user: str) -> str:
        """What the broker itself knows of a credential; empty where it knows none."""
        try:
            with self._connection(site) as connection:
                return salt_of(connection, user)
        except Failed as error:
            if error.code == LOGIN_REFUSED:
                return ""
            raise

    def _knows(self, site: Site, user: str) -> bool:
        """Whether the broker lets a user begin to log in; one that was made just now it reads a moment later."""

        def known() -> bool:
            if not self._salt(site, user):
                raise NotReady("it does not know the user")
            return True

        try:
            return until(known, _TIMEOUT, f"the broker knows {user}")
        except TimedOut:
            return False

    def _refused(self, site: Site, user: str, record: JSON) -> str:
        """How a new login of the user with the original secret ends, or how the broker answers its begin."""
        if user != self.app_name:
            if self._salt(site, user) == records.salt_in(record["node"]):
                raise NotReady(f"{user} can still log in")
            return "no credential, or another"
        try:
            with self._connection(site) as connection:
                login_scram(connection, app_of(site.at))
        except Failed as error:
            if error.code == LOGIN_REFUSED:
                return "SASL_AUTHENTICATION_FAILED"
            raise
        raise NotReady(f"{user} can still log in")

    def _cut(self, site: Site) -> None:
        """Have the broker's kernel reset every connection to the SASL listener."""
        inside = ["nsenter", "-t", str(site.hands.pid(site.container.id)), "-n"]
        cut = ["ss", "-K", "-H", "-t", "state", "established", "sport", "=", f":{self.ports['sasl']}"]
        done = site.hands.operate(site.environment, [*inside, *cut])
        if done.exit_code:
            raise NotReady(f"the connections cannot be cut: {done.output.strip()}")

    def _dismiss(self, site: Site) -> None:
        """Close what was opened to be refused."""
        if (witness := site.kept.pop(_WITNESS, None)) is not None:
            witness.close()

    def _lost(self, site: Site) -> str:
        """See that a connection from before the cut is closed."""
        try:
            requests.metadata(site.kept[_WITNESS])
        except NotReady as error:
            if CLOSED in str(error):
                return "closed"
            raise
        raise NotReady("a connection from before is not closed; this kernel may not be able to (INET_DIAG_DESTROY)")

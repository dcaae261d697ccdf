"""Take an identity's rights away, live sessions included, and give them back exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.capabilities import HasCredentials, HasPrivileges
from envctl.faults.fault import JSON, Abode, Fault, parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Service
    from envctl.site import Site


@dataclass(frozen=True)
class RevokeCredentials(Fault):
    """Take an identity's rights away: its live sessions and its new ones are refused. envctl itself stays in.

    The modes differ by service. PostgreSQL: `login` (may not log in; its sessions are ended), `privilege` (one
    privilege on one thing: `permission denied` at the next statement), `expiry` (its password has run out), `password`
    (another one is set). Redis: `off` (the user is off, its connections are cut), `commands` (all of them, or those of
    `privilege`, answer NOPERM on open connections too), `password`. MinIO: `disable` (every request answers 403, those
    with presigned URLs too), `policy` (AccessDenied), `key` (another secret key).

    After healing a login with the original secret works, and the server's own record of the identity equals the one
    from before. What a test itself changed of the identity meanwhile, and the fault did not, stays as the test left it
    and is told (`changed_meanwhile`). A test that drops the identity meanwhile makes the fault `lost`.

    What it does not test: a secret store that is slow or away, clients inside the container that the server trusts
    without a password.
    """

    name: ClassVar[str] = "revoke-credentials"
    summary: ClassVar[str] = "Take an identity's rights away, live sessions included."
    lives_in: ClassVar[Abode] = Abode.DATA

    mode: str = parameter("", "How; the service's first way without it.", metavar="MODE")
    user: str = parameter("", "Whose rights; the tests' own identity without it.", metavar="NAME")
    privilege: str = parameter("", "The one privilege to take, such as insert (PostgreSQL), @write (Redis).")
    on: str = parameter("", "The thing that the privilege is on, such as a table.", metavar="NAME")

    @classmethod
    def unfit(cls, service: Service) -> str:
        """It needs identities that can be revoked."""
        if isinstance(service, HasCredentials):
            return ""
        return f"{service.name} has no credentials that could be revoked; use pause, kill or stop to keep clients out"

    @classmethod
    def words(cls, service: Service) -> Mapping[str, Mapping[str, str]]:
        """The service's ways to revoke."""
        return {"mode": service.revocations} if isinstance(service, HasCredentials) else {}

    def problems(self, service: Service) -> Iterable[str]:
        """A mode that the service does not have, and a privilege that it cannot take."""
        if not isinstance(service, HasCredentials):
            return
        if self.mode and self.mode not in service.revocations:
            yield f"--mode: wanted one of {', '.join(service.revocations)}, found {self.mode!r}"
        if (privileged := self._privileged(service)) is not None:
            yield from privileged.privilege_problems(self.privilege, self.on)
        elif given := [name for name in ("privilege", "on") if getattr(self, name)]:
            mode = service.privilege_mode if isinstance(service, HasPrivileges) else ""
            where = f"only with --mode {mode}" if mode else f"{service.name} has no mode that takes it"
            yield from (f"--{name}: {where}, found {getattr(self, name)!r}" for name in given)

    def claims(self, site: Site) -> Sequence[str]:
        """The identity: what takes rights away from it comes one at a time."""
        return (f"identity {self._user(site)}",)

    def plan(self, site: Site) -> JSON:
        """The server's own record of the identity."""
        service, user = self._server(site), self._user(site)
        mode = self._mode(service)
        record = service.identity(site, user, mode)
        if (privileged := self._privileged(service)) is not None:
            record |= privileged.privilege(site, user, self.privilege, self.on)
        return {"user": user, "mode": mode, "record": record}

    def apply(self, site: Site, plan: JSON) -> None:
        """Revoke."""
        self._server(site).revoke(site, plan["user"], plan["mode"], plan["record"])

    def bites(self, site: Site, plan: JSON) -> JSON:
        """Logins, or acts, that are refused."""
        return self._server(site).check_revoked(site, plan["user"], plan["mode"], plan["record"])

    def undo(self, site: Site, plan: JSON) -> None:
        """Give back what the record says."""
        self._server(site).restore(site, plan["user"], plan["mode"], plan["record"])

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """The original secret works, and the record equals the one from before."""
        return self._server(site).check_restored(site, plan["user"], plan["mode"], plan["record"])

    def _server(self, site: Site) -> HasCredentials:
        service = site.service
        assert isinstance(service, HasCredentials), service.name  # noqa: S101 - `unfit` has seen to it
        return service

    def _user(self, site: Site) -> str:
        return self.user or (site.at.app.username if site.at.app else "app")

    def _mode(self, service: HasCredentials) -> str:
        """The mode; who names a privilege need not name it."""
        if self.mode:
            return self.mode
        if (self.privilege or self.on) and isinstance(service, HasPrivileges):
            return service.privilege_mode
        return next(iter(service.revocations))

    def _privileged(self, service: HasCredentials) -> HasPrivileges | None:
        """The service, where a privilege is what is taken."""
        return service if isinstance(service, HasPrivileges) and self._mode(service) == service.privilege_mode else None

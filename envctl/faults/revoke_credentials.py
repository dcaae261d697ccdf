"""Take an identity's rights away, live sessions included, and give them back exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.capabilities import HasCredentials
from envctl.faults.fault import JSON, Abode, Fault, parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envctl.protocols import Service
    from envctl.site import Site


@dataclass(frozen=True)
class RevokeCredentials(Fault):
    """Take an identity's rights away: its live sessions and its new ones are refused. envctl itself stays in.

    The modes differ by service; `envctl chaos list` names them. After healing a login with the original secret works,
    and the server's own record of the identity equals the one from before.
    """

    name: ClassVar[str] = "revoke-credentials"
    summary: ClassVar[str] = "Take an identity's rights away, live sessions included."
    lives_in: ClassVar[Abode] = Abode.DATA

    mode: str = parameter("", "How; the service's first way without it.", metavar="MODE")
    user: str = parameter("", "Whose rights; the tests' own identity without it.", metavar="NAME")

    @classmethod
    def unfit(cls, service: Service) -> str:
        """It needs identities that can be revoked."""
        if isinstance(service, HasCredentials):
            return ""
        return f"{service.name} has no credentials that could be revoked; use pause, kill or stop to keep clients out"

    def problems(self, service: Service) -> Iterable[str]:
        """A mode that the service does not have."""
        if isinstance(service, HasCredentials) and self.mode and self.mode not in service.revocations:
            yield f"--mode: wanted one of {', '.join(service.revocations)}, found {self.mode!r}"

    def claims(self, site: Site) -> Sequence[str]:
        """The identity: what takes rights away from it comes one at a time."""
        return (f"identity {self._user(site)}",)

    def plan(self, site: Site) -> JSON:
        """The server's own record of the identity."""
        service, user, mode = self._server(site), self._user(site), self._mode(site)
        return {"user": user, "mode": mode, "record": service.identity(site, user, mode)}

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

    def _mode(self, site: Site) -> str:
        return self.mode or next(iter(self._server(site).revocations))

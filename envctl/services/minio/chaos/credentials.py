"""Taking a MinIO user's rights away and giving them back exactly.

All by the administration's small requests. `minio`'s own client encrypts each with Argon2, which takes 400 ms; here
attaching and detaching take 3 ms, and a new key 100 ms (measured, RELEASE.2025-09-07): only that is encrypted.
"""

from __future__ import annotations

import json
import re
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit, UnknownName
from envctl.protocols import Lost, NotReady
from envctl.services.refusals import require_revocable
from envctl.services.wire import admin_of, app_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.services.minio.requests import Answer, Requests
    from envctl.site import Site

JSON = dict[str, Any]

_TIMEOUT = 5.0
_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404
_ADMIN = "/minio/admin/v3"
_REFUSALS = MappingProxyType(
    {"disable": "InvalidAccessKeyId", "policy": "AccessDenied", "key": "SignatureDoesNotMatch"}
)
"""What the server answers `app` in each mode."""

_MOVES = "updatedAt"
"""The one thing in a user's record that tells when and not what."""


class MinioCredentials:
    """What `revoke-credentials` needs of MinIO. Each request is judged anew: open connections help nobody."""

    revocations: Mapping[str, str] = MappingProxyType(
        {
            "disable": "the user is disabled: every request is refused, those with presigned URLs too",
            "policy": "its policies are detached, or an action (--privilege) or a bucket (--on) is denied",
            "key": "it has another secret key (app only: the server tells nobody the old one)",
        }
    )
    privilege_mode = "policy"

    def privilege_problems(self, privilege: str, on: str) -> list[str]:
        """An S3 action, buckets, both or none."""
        found = []
        if privilege and not re.fullmatch(r"[A-Za-z*]+", privilege.removeprefix("s3:")):
            found.append(f"--privilege: wanted an action of S3 such as PutObject, found {privilege!r}")
        if on and not all(_buckets(on)):
            found.append(f"--on: wanted a bucket, or several with commas between them, found {on!r}")
        return found

    def privilege(self, site: Site, user: str, privilege: str, on: str) -> JSON:
        """A policy that denies the action on the buckets, and its name, which nobody has yet. Nothing for all."""
        if not privilege and not on:
            if groups := _present(site, user).get("memberOf"):
                wanted, advice = f"{user} without any policy", "use mode disable, or deny it buckets with --on"
                raise FaultUnfit(wanted, f"it has rights by its groups {', '.join(groups)}, too", advice)
            return {}
        known = re.findall(r"<Name>([^<]*)</Name>", _ask(_admin(site), "GET", "/", "list buckets").body.decode())
        for bucket in _buckets(on):
            if bucket not in known:
                unknown = UnknownName("bucket", bucket, known)
                raise FaultUnfit(unknown.wanted, unknown.found[:400], unknown.advice[:400])
        action, buckets = privilege.removeprefix("s3:") or "*", _buckets(on) or ["*"]
        resources = [f"arn:aws:s3:::{bucket}{tail}" for bucket in buckets for tail in ("", "/*")]
        statement = {"Effect": "Deny", "Action": [f"s3:{action}"], "Resource": resources}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        return {
            "deny": f"envctl-revoked-{secrets.token_hex(4)}",
            "policy": policy,
            "action": action,
            "buckets": _buckets(on) or known,
        }

    def identity(self, site: Site, user: str, mode: str) -> JSON:
        """The user's record: status, policies, groups. The server never tells a secret key."""
        found = _info(site, user)
        if found is None:
            admin = admin_of(site.at)
            require_revocable("user", user, [admin.username, *_users(site)], admin.username)
            raise NotReady(f"user {user} came and went in this moment")
        wanted = f"user {user}, which works"
        if found["status"] != "enabled":
            raise FaultUnfit(wanted, "it is disabled", "name another one with --user")
        if mode == "key" and not _is_app(site, user):
            raise FaultUnfit(f"{user} with another key, and its own again", "nobody knows its own", "use mode disable")
        if mode == "policy" and not found.get("policyName") and not found.get("memberOf"):
            raise FaultUnfit(f"policies of {user}, to be detached", "it has none", "name another one with --user")
        return {"user": {key: value for key, value in found.items() if key != _MOVES}}

    def revoke(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Take the rights away."""
        _present(site, user)
        admin = _admin(site)
        if mode == "disable":
            _set_status(admin, user, "disabled")
        elif mode == "key":
            _set_key(site, user, secrets.token_urlsafe(32))
        elif "deny" in record:
            body = json.dumps(record["policy"]).encode()
            _ask(admin, "PUT", f"{_ADMIN}/add-canned-policy", "make the policy", {"name": record["deny"]}, body)
            names = [record["user"].get("policyName", ""), record["deny"]]
            _set_policies(admin, user, ",".join(filter(None, names)))
        else:
            _set_policies(admin, user, "")

    def check_revoked(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """The server's record says so, and `app` is refused."""
        now = _present(site, user)
        evidence: JSON = {"status": now["status"], "policies": now.get("policyName", "")}
        if mode == "disable" and now["status"] != "disabled":
            raise NotReady(f"{user} is {now['status']}")
        if mode == "policy":
            wanted = record.get("deny", "")
            if (wanted not in evidence["policies"].split(",")) if wanted else evidence["policies"]:
                raise NotReady(f"{user} has the policies {evidence['policies'] or 'none'}")
        if not _is_app(site, user):
            return evidence
        refused = _tries(site, record) if "deny" in record else [_app(site).send("GET", "/")]
        for answer in refused:
            if answer.status != _FORBIDDEN or answer.code != _REFUSALS[mode]:
                raise NotReady(f"app was answered {answer.code}")
        return evidence | {"app": [f"{answer.status} {answer.code}" for answer in refused]}

    def restore(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Enable it, attach what was attached, give `app` its own key: whatever of these is not as it was."""
        now = _present(site, user)
        admin = _admin(site)
        if mode == "disable" and now["status"] != record["user"]["status"]:
            _set_status(admin, user, record["user"]["status"])
        elif mode == "key" and _app(site).send("GET", "/").code == _REFUSALS["key"]:
            _set_key(site, user, app_of(site.at).password)
        elif mode == "policy":
            was = record["user"].get("policyName", "")
            if now.get("policyName", "") != was:
                _set_policies(admin, user, was)
            if "deny" in record:
                removed = admin.send("DELETE", f"{_ADMIN}/remove-canned-policy", {"name": record["deny"]})
                if removed.status not in (_OK, _NOT_FOUND):
                    raise NotReady(f"cannot remove the policy {record['deny']}: {removed.code}")

    def check_restored(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """The record is what it was, and `app` is let in with its own key."""
        now = {key: value for key, value in _present(site, user).items() if key != _MOVES}
        touched = {"disable": "status", "policy": "policyName"}.get(mode, "")
        differing = sorted(key for key in now | record["user"] if now.get(key) != record["user"].get(key))
        if touched in differing:
            raise NotReady(f"{touched} of {user} is {now.get(touched)!r}")
        if "deny" in record:
            info = _admin(site).send("GET", f"{_ADMIN}/info-canned-policy", {"name": record["deny"]})
            if info.status == _OK:
                raise NotReady(f"the policy {record['deny']} is still there")
        evidence: JSON = {"changed_meanwhile": differing} if differing else {"record": "equal"}
        if _is_app(site, user):
            _ask(_app(site), "GET", "/", "list the buckets as app")
            evidence["login"] = "with the original key"
        return evidence


def _buckets(on: str) -> list[str]:
    return [name.strip() for name in on.split(",")] if on else []


def _is_app(site: Site, user: str) -> bool:
    return site.at.app is not None and user == site.at.app.username


def _admin(site: Site) -> Requests:
    from envctl.services.minio.requests import Requests

    return Requests(site.at, _TIMEOUT, admin_of(site.at))


def _app(site: Site) -> Requests:
    from envctl.services.minio.requests import Requests

    return Requests(site.at, _TIMEOUT, app_of(site.at))


def _ask(
    requests: Requests, method: str, path: str, what: str, query: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    answer = requests.send(method, path, query or {}, body)
    if answer.status != _OK:
        raise NotReady(f"cannot {what}: {answer.code}")
    return answer


def _info(site: Site, user: str) -> JSON | None:
    """The user's record; None where there is no such user."""
    answer = _admin(site).send("GET", f"{_ADMIN}/user-info", {"accessKey": user})
    if answer.status == _NOT_FOUND or answer.code == "XMinioAdminNoSuchUser":
        return None
    if answer.status != _OK:
        raise NotReady(f"cannot look at user {user}: {answer.code}")
    found: JSON = json.loads(answer.body)
    return found


def _present(site: Site, user: str) -> JSON:
    """The user's record.

    Raises:
        Lost: there is no such user any more.

    """
    found = _info(site, user)
    if found is None:
        raise Lost(f"user {user} is gone: removed while its rights were revoked; `envctl up` makes app anew")
    return found


def _users(site: Site) -> list[str]:
    """All users' names; the answer is encrypted as only `minio` can decrypt it."""
    from minio.credentials.providers import StaticProvider
    from minio.minioadmin import MinioAdmin

    admin = admin_of(site.at)
    credentials = StaticProvider(admin.username, admin.password)
    return list(json.loads(MinioAdmin(endpoint=site.at.address, credentials=credentials, secure=False).user_list()))


def _set_status(admin: Requests, user: str, status: str) -> None:
    query = {"accessKey": user, "status": status}
    _ask(admin, "PUT", f"{_ADMIN}/set-user-status", f"make user {user} {status}", query)


def _set_policies(admin: Requests, user: str, names: str) -> None:
    """Attach just these policies, with commas between their names; none where it is empty."""
    query = {"policyName": names, "userOrGroup": user, "isGroup": "false"}
    _ask(admin, "PUT", f"{_ADMIN}/set-user-or-group-policy", f"set the policies of {user}", query)


def _set_key(site: Site, user: str, key: str) -> None:
    from envctl.services.minio.requests import encrypt

    body = encrypt(json.dumps({"status": "enabled", "secretKey": key}).encode(), admin_of(site.at).password)
    _ask(_admin(site), "PUT", f"{_ADMIN}/add-user", f"set the key of {user}", {"accessKey": user}, body)


def _tries(site: Site, record: JSON) -> list[Answer]:
    """What `app` is answered when it does what is denied, as far as that can be tried without a trace."""
    app = _app(site)
    key = f"envctl-{secrets.token_hex(8)}"
    requests = {
        "*": ("GET", "", {"list-type": "2", "max-keys": "0"}),
        "ListBucket": ("GET", "", {"list-type": "2", "max-keys": "0"}),
        "GetObject": ("GET", f"/{key}", {}),
        "PutObject": ("POST", f"/{key}", {"uploads": ""}),
    }
    if record["action"] not in requests:
        return []
    method, path, query = requests[record["action"]]
    answers = [app.send(method, f"/{bucket}{path}", query) for bucket in record["buckets"]]
    for bucket, answer in zip(record["buckets"], answers, strict=True):
        begun = re.search(rb"<UploadId>([^<]+)</UploadId>", answer.body)
        if begun:
            app.send("DELETE", f"/{bucket}{path}", {"uploadId": begun[1].decode()})
    return answers

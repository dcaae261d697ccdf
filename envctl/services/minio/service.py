"""MinIO: `admin` is root, `app` does all S3 work on all buckets and no administration; the bucket is `app`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.minio.chaos.clock import MinioClock
from envctl.services.minio.chaos.credentials import MinioCredentials
from envctl.services.minio.chaos.disk import MinioDisk
from envctl.services.minio.chaos.transactions import MinioTransactions
from envctl.services.minio.chaos.ways import MinioWays
from envctl.services.wire import admin_of, app_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import minio

    from envctl.capabilities import HasCredentials, HasPrivileges
    from envctl.model import Endpoint, Identity
    from envctl.protocols import HasHandle, HasIdentities, HasOptions, HasShell, HasVariables, Service
    from envctl.seeding.loading import Job, Seedable
    from envctl.services.minio.requests import Answer
    from envctl.services.minio.seeding import MinioLoader

BUCKET = "app"
REGION = "us-east-1"
POLICY = "app"

# Tests make buckets of their own: S3 on all of them. The administration is denied in words, because MinIO lets every
# user make access keys for itself, which would outlive the revocation of the first one.
_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]},
        {"Effect": "Deny", "Action": ["admin:*"]},
    ],
}


@dataclass(frozen=True)
class MinioHandle:
    """MinIO for Python users, as the app identity."""

    endpoint: Endpoint
    bucket: str = BUCKET

    @property
    def url(self) -> str:
        """`http://host:port`, without credentials, as S3 clients want it."""
        return f"http://{self.endpoint.address}"

    def client(self, **options: Any) -> minio.Minio:  # noqa: ANN401 - handed on as they are
        """A new client; `options` go to `minio.Minio`."""
        import minio

        app = app_of(self.endpoint)
        known = {"access_key": app.username, "secret_key": app.password, "secure": False, "region": REGION}
        return minio.Minio(self.endpoint.address, **{**known, **options})


class Minio(MinioCredentials, MinioTransactions, MinioDisk, MinioClock, MinioWays):
    """MinIO with one drive."""

    name = "minio"
    ports: Mapping[str, int] = MappingProxyType({"minio": 9000, "console": 9001})
    standard: Mapping[str, int] = MappingProxyType({"minio": 9000, "console": 9001})
    admin_name = "admin"  # MinIO takes a name that begins with "env" for the address of another place to read it from
    app_name = "app"
    fast: Mapping[str, str] = MappingProxyType({})
    fast_cost = "nothing: MinIO has no option that trades durability for speed beyond its defaults"

    def secret_files(self, admin: Identity, app: Identity) -> Mapping[str, str]:
        """The two passwords."""
        return {"admin": admin.password, "app": app.password}

    def provision(self, at: Endpoint, timeout: float) -> None:
        """Make the bucket, the policy and the user app.

        Raises:
            NotReady: the server does not take administration yet.

        """
        from envctl.services.minio.requests import Requests, encrypt

        admin, app = admin_of(at), app_of(at)
        send = Requests(at, timeout, admin).send
        _done(send("PUT", f"/{BUCKET}"), "make the bucket", "BucketAlreadyOwnedByYou")
        path = "/minio/admin/v3"
        user = encrypt(json.dumps({"status": "enabled", "secretKey": app.password}).encode(), admin.password)
        _done(send("PUT", f"{path}/add-user", {"accessKey": app.username}, user), "make the user")
        _done(
            send("PUT", f"{path}/add-canned-policy", {"name": POLICY}, json.dumps(_POLICY).encode()), "make the policy"
        )
        grant = {"policyName": POLICY, "userOrGroup": app.username, "isGroup": "false"}
        _done(send("PUT", f"{path}/set-user-or-group-policy", grant), "grant the policy")

    def ping(self, at: Endpoint, timeout: float) -> None:
        """See that the whole server is initialised, and have app's signed ListBuckets show its bucket."""
        from envctl.services.minio.requests import Requests

        health = Requests(at, timeout).send("GET", "/minio/health/cluster")
        if health.status != _OK:
            raise NotReady(f"not initialised yet (/minio/health/cluster answered {health.status})")
        listed = Requests(at, timeout, app_of(at)).send("GET", "/")
        _done(listed, f"list the buckets as {self.app_name}")
        if f"<Name>{BUCKET}</Name>".encode() not in listed.body:
            raise NotReady(f"no bucket {BUCKET} yet")

    def variables(self, at: Endpoint) -> Mapping[str, str]:
        """What AWS's libraries read, and the bucket."""
        app = app_of(at)
        url = MinioHandle(at).url
        return {
            "AWS_ENDPOINT_URL": url,
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ACCESS_KEY_ID": app.username,
            "AWS_SECRET_ACCESS_KEY": app.password,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "S3_BUCKET": BUCKET,
        }

    def secret_variables(self) -> frozenset[str]:
        """The secret key alone."""
        return frozenset({"AWS_SECRET_ACCESS_KEY"})

    def shell(self, at: Endpoint) -> tuple[Sequence[str], Mapping[str, str]]:
        """A shell in which `mc` knows the server as `app`: `mc` itself has no prompt."""
        app = app_of(at)
        greeting = f"echo 'mc knows this server as app, for example: mc ls app/{BUCKET}'; exec sh"
        return ["sh", "-c", greeting], {"MC_HOST_app": f"http://{app.username}:{app.password}@127.0.0.1:9000"}

    def handle(self, at: Endpoint) -> MinioHandle:
        """Clients as app."""
        return MinioHandle(at)

    def loader(self, at: Endpoint, job: Job) -> MinioLoader:
        """Objects of a dataset, stored as admin."""
        from envctl.services.minio.seeding import MinioLoader

        return MinioLoader(at, job)

    def clear(self, at: Endpoint, footprint: Mapping[str, Any]) -> str:
        """Remove a dataset's objects, and the buckets made for it that are empty then."""
        from envctl.services.minio.seeding import clear

        return clear(at, footprint)

    def apply_options(self, model: dict[str, Any], options: Mapping[str, str]) -> None:
        """`MINIO_…` variables by their name in lower case without the prefix: `fs_osync: "on"`."""
        environment = model.setdefault("environment", {})
        for option, value in options.items():
            # `$` is compose's own sign in a model.
            environment[f"MINIO_{option.upper()}"] = value.replace("$", "$$")


_OK = 200


def _done(answer: Answer, what: str, also_fine: str = "") -> None:
    if answer.status != _OK and answer.code != also_fine:
        raise NotReady(f"cannot {what}: {answer.code}")


if TYPE_CHECKING:
    _service: Service = Minio()
    _identities: HasIdentities = Minio()
    _options: HasOptions = Minio()
    _variables: HasVariables = Minio()
    _shell: HasShell = Minio()
    _handle: HasHandle = Minio()
    _seedable: Seedable = Minio()
    _credentials: HasCredentials = Minio()
    _privileges: HasPrivileges = Minio()

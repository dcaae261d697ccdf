"""A Spark Connect server that knows one token; whoever has it may do everything."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from envctl.errors import EnvctlError
from envctl.services.spark_connect.chaos.credentials import SparkCredentials
from envctl.services.spark_connect.chaos.ways import SparkWays
from envctl.services.spark_connect.rpc import ask_version
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import SparkSession

    from envctl.model import Endpoint, Identity
    from envctl.protocols import HasHandle, HasIdentities, HasOptions, HasShell, HasVariables, Service
    from envctl.seeding.loading import Job, Loader, Seedable

_SHELL = """\
echo 'Spark Connect has no client of its own in this container. On your machine, with pyspark or pyspark-client:'
echo '  eval "$(envctl env --format shell)"   # SPARK_REMOTE; then SparkSession.builder.getOrCreate()'
exec bash"""


@dataclass(frozen=True)
class SparkConnectHandle:
    """`env.spark`."""

    endpoint: Endpoint

    @property
    def url(self) -> str:
        """`sc://localhost:PORT/;token=…`.

        `localhost` and not the address: Spark's client sends a token without TLS to that very name only.
        """
        return f"sc://localhost:{self.endpoint.port}/;token={quote(app_of(self.endpoint).password, safe='')}"

    def session(self) -> SparkSession:
        """A new session of its own; `stop()` ends it.

        Raises:
            EnvctlError: pyspark is not installed.

        """
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise EnvctlError("a Spark session", f"{error}", "pip install 'envctl[spark]'") from error
        session: SparkSession = SparkSession.builder.remote(self.url).create()
        return session


class SparkConnect(SparkCredentials, SparkWays):
    """Spark 4.1 with its Connect server, all in one process."""

    name = "spark-connect"
    ports: Mapping[str, int] = MappingProxyType({"spark-connect": 15002})
    standard: Mapping[str, int] = ports
    admin_name = "envctl"
    app_name = "app"
    # A session's state lives in the server's memory, what it writes goes to MinIO: there is no durability to trade.
    fast: Mapping[str, str] = MappingProxyType({})
    fast_cost = ""

    def secret_files(self, admin: Identity, app: Identity) -> Mapping[str, str]:  # noqa: ARG002 - the same everywhere
        """The one token that the server knows: Spark does not tell an admin from an app."""
        return {"app": app.password}

    def provision(self, at: Endpoint, timeout: float) -> None:
        """Do nothing: the server starts with its token."""

    def ping(self, at: Endpoint, timeout: float) -> None:
        """Return when a session of the app's got Spark's version by AnalyzePlan; the session is released again."""
        ask_version(at, app_of(at), timeout)

    def apply_options(self, model: dict[str, Any], options: Mapping[str, str]) -> None:
        """Add Spark's own settings (`spark.sql.session.timeZone`) to the server's; the last one wins."""
        for option, value in options.items():
            # Compose takes `$$` for a dollar sign.
            model["command"] += ["--conf", f"{option}={value}".replace("$", "$$")]

    def variables(self, at: Endpoint) -> Mapping[str, str]:
        """SPARK_REMOTE, which `SparkSession.builder.getOrCreate()` reads."""
        return {"SPARK_REMOTE": SparkConnectHandle(at).url}

    def secret_variables(self) -> frozenset[str]:
        """The URL holds the token."""
        return frozenset({"SPARK_REMOTE"})

    def shell(self, at: Endpoint) -> tuple[Sequence[str], Mapping[str, str]]:  # noqa: ARG002 - the same everywhere
        """A bash, and where to find a client: the image's Python lacks what pyspark's Connect client needs."""
        return ["bash", "-c", _SHELL], {}

    def loader(self, at: Endpoint, job: Job) -> Loader:
        """Tables and views by Spark SQL."""
        from envctl.services.spark_connect.seeding import SparkLoader

        return SparkLoader(at, job)

    def clear(self, at: Endpoint, footprint: Mapping[str, Any]) -> str:
        """Remove the tables and views of a footprint."""
        from envctl.services.spark_connect.seeding import clear

        return clear(at, footprint)

    def handle(self, at: Endpoint) -> SparkConnectHandle:
        """Sessions for the tests."""
        return SparkConnectHandle(at)


if TYPE_CHECKING:
    _service: Service = SparkConnect()
    _identities: HasIdentities = SparkConnect()
    _options: HasOptions = SparkConnect()
    _variables: HasVariables = SparkConnect()
    _shell: HasShell = SparkConnect()
    _handle: HasHandle = SparkConnect()
    _seedable: Seedable = SparkConnect()

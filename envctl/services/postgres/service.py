"""PostgreSQL: `envctl` is the superuser, `app` owns the database `app` and may create databases."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from envctl.protocols import NotReady
from envctl.services.postgres.chaos.clock import PostgresClock
from envctl.services.postgres.chaos.credentials import PostgresCredentials
from envctl.services.postgres.chaos.transactions import PostgresTransactions
from envctl.services.postgres.chaos.ways import PostgresWays
from envctl.services.wire import admin_of, app_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from envctl.capabilities import HasCredentials, HasPrivileges, KnowsAims, Transactional
    from envctl.model import Endpoint, Identity
    from envctl.protocols import HasHandle, HasIdentities, HasOptions, HasShell, HasVariables, Service
    from envctl.seeding.loading import Job, Loader, Seedable

DATABASE = "app"

# One transaction. The lock lets two processes do this at once: without it the second fails with "already exists" or
# "tuple concurrently updated". Its number is arbitrary. The owner of the database owns its schema `public` (since 15).
# CREATEDB, so that tests can make databases of their own; no other privilege of a superuser.
_PROVISION = """
SELECT pg_advisory_xact_lock(7161398236112094);
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app; END IF;
END $$;
ALTER ROLE app LOGIN CREATEDB NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD '{verifier}';
ALTER DATABASE app OWNER TO app;
"""


@dataclass(frozen=True)
class PostgresHandle:
    """PostgreSQL for Python users, as the app identity."""

    endpoint: Endpoint

    @property
    def url(self) -> str:
        """`postgresql://app:…@host:port/app`."""
        app = app_of(self.endpoint)
        return f"postgresql://{quote(app.username)}:{quote(app.password, safe='')}@{self.endpoint.address}/{DATABASE}"

    def connect(self, **options: Any) -> psycopg.Connection[Any]:  # noqa: ANN401 - handed on as they are
        """A new connection; `options` go to `psycopg.connect`, for example `autocommit=True`, `dbname="mine"`."""
        import psycopg

        return psycopg.connect(self.url, **options)


class Postgres(PostgresCredentials, PostgresTransactions, PostgresClock, PostgresWays):
    """PostgreSQL 17 with full durability unless `fast`."""

    name = "postgres"
    ports: Mapping[str, int] = MappingProxyType({"postgres": 5432})
    standard: Mapping[str, int] = MappingProxyType({"postgres": 5432})
    admin_name = "envctl"
    app_name = "app"
    fast: Mapping[str, str] = MappingProxyType({"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"})
    fast_cost = "a killed server loses its last commits, a crash of the machine may damage the database"

    def secret_files(self, admin: Identity, app: Identity) -> Mapping[str, str]:  # noqa: ARG002 - made by provision
        """The two passwords."""
        return {"admin": admin.password}

    def provision(self, at: Endpoint, timeout: float) -> None:
        """Make the role app, give it its password and the database app.

        Raises:
            NotReady: the server does not take the administrator's statements yet.

        """
        from envctl.services.postgres.scram import verifier
        from envctl.services.postgres.session import Session

        with Session(at, admin_of(at), DATABASE, timeout) as session:
            session.query(_PROVISION.format(verifier=verifier(app_of(at).password)))

    def ping(self, at: Endpoint, timeout: float) -> None:
        """Log in as app and have a query answered by a server that is not in recovery."""
        from envctl.services.postgres.session import Session

        with Session(at, app_of(at), DATABASE, timeout) as session:
            if session.query("SELECT pg_is_in_recovery()") != [["f"]]:
                raise NotReady("the server is in recovery")

    def variables(self, at: Endpoint) -> Mapping[str, str]:
        """`DATABASE_URL` and what libpq reads."""
        app = app_of(at)
        return {
            "DATABASE_URL": PostgresHandle(at).url,
            "PGHOST": at.host,
            "PGPORT": str(at.port),
            "PGUSER": app.username,
            "PGPASSWORD": app.password,
            "PGDATABASE": DATABASE,
        }

    def secret_variables(self) -> frozenset[str]:
        """The URL holds the password too."""
        return frozenset({"DATABASE_URL", "PGPASSWORD"})

    def shell(self, at: Endpoint) -> tuple[Sequence[str], Mapping[str, str]]:
        """`psql` as app."""
        app = app_of(at)
        return ["psql"], {"PGUSER": app.username, "PGPASSWORD": app.password, "PGDATABASE": DATABASE}

    def handle(self, at: Endpoint) -> PostgresHandle:
        """Connections as app."""
        return PostgresHandle(at)

    def apply_options(self, model: dict[str, Any], options: Mapping[str, str]) -> None:
        """Settings of postgresql.conf, appended to the command line, where the last one wins."""
        command = list(model.get("command") or ["postgres"])
        for setting, value in sorted(options.items()):
            # `$` is compose's own sign in a model.
            command += ["-c", f"{setting}={value}".replace("$", "$$")]
        model["command"] = command

    def loader(self, at: Endpoint, job: Job) -> Loader:
        """SQL files, and tables by COPY."""
        from envctl.services.postgres.seeding import PostgresLoader

        return PostgresLoader(at, job)

    def clear(self, at: Endpoint, footprint: Mapping[str, Any]) -> str:
        """Drop what the dataset's SQL made, empty what was there before."""
        from envctl.services.postgres.seeding import clear

        return clear(at, footprint)


if TYPE_CHECKING:
    _service: Service = Postgres()
    _identities: HasIdentities = Postgres()
    _options: HasOptions = Postgres()
    _variables: HasVariables = Postgres()
    _shell: HasShell = Postgres()
    _handle: HasHandle = Postgres()
    _seedable: Seedable = Postgres()
    _credentials: HasCredentials = Postgres()
    _privileges: HasPrivileges = Postgres()
    _transactions: Transactional = Postgres()
    _aims: KnowsAims = Postgres()

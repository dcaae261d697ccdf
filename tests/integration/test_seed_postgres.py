"""Tables from relations, in a server that runs."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from envctl.errors import ConfigurationError, Interrupted, SeedFailed
from envctl.model import Identity
from envctl.seeding.spec import Postgres as Share
from envctl.seeding.spec import Relation, Table
from envctl.services.postgres import Postgres
from envctl.services.postgres.seeding import constraints
from tests.integration.seed_postgres import admin, ask, loaded, loader, own, shop
from tests.integration.services.conftest import _running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from envctl.model import Endpoint

SERVICE = Postgres()
CATALOG = (
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint"
    " WHERE connamespace = 'shop'::regnamespace UNION ALL"
    " SELECT tablename, indexname, indexdef, true FROM pg_indexes WHERE schemaname = 'shop' ORDER BY 1, 2"
)


@pytest.fixture(scope="module")
def at() -> Iterator[Endpoint]:
    """One server for the module, ready."""
    with _running(SERVICE) as server:
        yield server.ready().at


@pytest.fixture(autouse=True)
def empty(at: Endpoint) -> Iterator[None]:
    """Nothing is left of the test before."""
    yield
    SERVICE.clear(at, {})
    ask(at, "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION app")


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table has its indexes built afterwards."""
    monkeypatch.setattr(constraints, "WORTH_ROWS", 1)


def test_what_is_generated_is_what_the_database_holds(at: Endpoint, tmp_path: Path) -> None:
    """Kind by kind, also where a value is null, negative or not ASCII."""
    schema = (
        "CREATE TYPE mood AS ENUM ('well', 'ill'); CREATE DOMAIN small AS int2;"
        "CREATE TABLE kinds (i2 small, i4 int, i8 bigint, n numeric, n2 numeric(12,3), f4 real, f8 float8, b bool,"
        " t text, v varchar(40), c char(12), m mood, ts timestamp, tz timestamptz, d date, u uuid, j json, jb jsonb,"
        " nothing int, always text NOT NULL)"
    )
    signed = "(row - 4) * 1234567890123"
    some = "(row % 3) == 0"
    columns = {
        "i2": "row - 2",
        "i4": f"row * -7 if {some} else None",
        "i8": signed,
        "n": f"decimal({signed}, 5)",
        "n2": f"decimal((row - 3) * 1001, 3) if {some} else None",
        "f4": "decimal(row * 25, 2)",
        "f8": "row - 5",
        "b": f"row > 3 if {some} else None",
        "t": f'f"a\\t{{row}}\\\\ ü" if {some} else None',
        "v": "'ключ'",
        "c": "'fixed'",
        "m": "choose(['well', 'ill'])",
        "ts": 'time("1969-12-31T23:59:59.999999") + row',
        "tz": f'time("2024-02-29T12:00") + days(row) if {some} else None',
        "d": 'date(time("2026-03-01"))',
        "u": f"'0a1b2c3d-4e5f-6071-8293-A4B5C6D7E8F9' if {some} else None",
        "j": "json(a=row)",
        "jb": f"json(a=row, b='\\\"') if {some} else None",
        "nothing": "None",
        "always": "''",
    }
    dataset = own(tmp_path, schema)
    relation = Relation("kinds", columns, rows=8)
    tables = {"kinds": Table("kinds", "kinds")}
    dataset = replace(dataset, relations={"kinds": relation}, postgres=replace(dataset.postgres, tables=tables))
    loader(at, dataset).load()
    query = (
        "SELECT i2, i4, i8, n::text, n2::text, f4, f8, b, t, v, c, m::text, ts::text, tz AT TIME ZONE 'UTC', d::text,"
    )
    rows = ask(at, f"{query} u::text, j::text, jb::text, nothing, always FROM kinds ORDER BY i2")
    assert [r[:8] for r in rows[3:5]] == [
        (1, -21, -1234567890123, "-12345678.90123", "0.000", 0.75, -2.0, False),
        (2, None, 0, "0.00000", None, 1.0, -1.0, None),
    ]
    assert [r[8] for r in rows[:2]] == ["a\t0\\ ü", None]
    assert rows[3][9:11] == ("ключ", "fixed       ")
    assert rows[2][12] == "1970-01-01 00:00:00.000001"
    assert str(rows[3][13]) == "2024-03-03 12:00:00"
    assert rows[0][14:] == (
        "2026-03-01", "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", '{"a":0}', '{"a": 0, "b": "\\""}', None, ""
    )  # fmt: skip
    assert rows[1][15:17] == (None, '{"a":1}')


def test_the_result_does_not_depend_on_how_many_connections_load_it(at: Endpoint, tmp_path: Path) -> None:
    """Hashes of all rows are the same for one, two and five."""
    dataset = shop(tmp_path)
    assert loaded(at, dataset, 1) == loaded(at, dataset, 2) == loaded(at, dataset, 5)


@pytest.mark.usefixtures("all_large")
def test_keys_and_indexes_are_as_the_sql_file_says(at: Endpoint, tmp_path: Path) -> None:
    """What was taken off for the load is back, under its name, validated."""
    ask(at, (shop(tmp_path).postgres.sql[0]).read_text())
    wanted = ask(at, CATALOG)
    ask(at, "DROP SCHEMA shop CASCADE")
    loaded(at, shop(tmp_path))
    assert ask(at, CATALOG) == wanted


def test_tables_belong_to_app_and_the_ledger_to_nobody_else(at: Endpoint, tmp_path: Path) -> None:
    """App reads its rows, and not the schema `_envctl`."""
    loaded(at, shop(tmp_path))
    with SERVICE.handle(at).connect(autocommit=True) as app:
        assert app.execute("SELECT count(*) FROM shop.customers").fetchone() == (3000,)
        app.execute("ALTER TABLE shop.customers ADD mine int")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT * FROM _envctl.seed")


def test_a_sequence_goes_on_after_the_rows(at: Endpoint, tmp_path: Path) -> None:
    """The next row gets a number of its own."""
    loaded(at, shop(tmp_path))
    insert = "INSERT INTO shop.orders (customer_id, status, total) VALUES (1, 'new', 1) RETURNING id"
    assert ask(at, insert) == [(20_001,)]


def test_a_second_load_does_nothing(at: Endpoint, tmp_path: Path) -> None:
    """No row is sent, and the rows are the same versions."""
    dataset = shop(tmp_path)
    loaded(at, dataset)
    before, sent = ask(at, "SELECT sum(xmin::text::bigint) FROM shop.orders"), []
    again = loader(at, dataset, progress=lambda rows, _: sent.append(rows))
    assert again.present()
    again.load()
    assert sent == []
    assert ask(at, "SELECT sum(xmin::text::bigint) FROM shop.orders") == before


@pytest.mark.parametrize("damage", ["TRUNCATE shop.orders CASCADE", "DROP SCHEMA shop CASCADE"])
def test_what_somebody_emptied_is_loaded_again(at: Endpoint, tmp_path: Path, damage: str) -> None:
    """It counts as absent, and the next load makes it whole."""
    dataset = shop(tmp_path)
    whole = loaded(at, dataset)
    ask(at, damage)
    assert not loader(at, dataset).present()
    loader(at, dataset).load()
    assert loader(at, dataset).measure() == whole


def test_another_dataset_replaces_it(at: Endpoint, tmp_path: Path) -> None:
    """Of a dataset that the journal forgot the database itself knows what is its own."""
    loaded(at, shop(tmp_path))
    other = own(tmp_path, "CREATE TABLE other (id int)")
    assert loader(at, other).conflicts() == []
    loader(at, other).load()
    assert ask(at, "SELECT to_regclass('shop.orders'), to_regclass('other')::text") == [(None, "other")]


def test_clear_leaves_the_database_as_it_was(at: Endpoint, tmp_path: Path) -> None:
    """Schema, types, functions, and the ledger are gone; what was there before stays, empty again."""
    ask(at, "CREATE TABLE mine (id int); ALTER TABLE mine OWNER TO app; CREATE TABLE not_mine AS SELECT 1 AS x")
    columns = {"id": "row"}
    dataset = shop(tmp_path)
    tables = {**dataset.postgres.tables, "mine": Table("mine", "customers", columns)}
    after = tmp_path / "after.sql"
    after.write_text("CREATE MATERIALIZED VIEW best AS SELECT * FROM shop.sales LIMIT 3;\nCREATE INDEX ON mine (id);")
    before = ask(at, "SELECT count(*) FROM pg_class")
    loader(at, replace(dataset, postgres=replace(dataset.postgres, tables=tables, after=(after,)))).load()
    assert ask(at, "SELECT count(*) FROM mine") == [(3000,)]
    said = SERVICE.clear(at, {})
    assert "1 schema" in said
    assert "3 tables" in said
    assert "the rows of 1 table" in said
    assert ask(at, "SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM not_mine)") == [(0, 1)]
    assert ask(at, "SELECT count(*) FROM pg_class") == before
    assert SERVICE.clear(at, {}) == "nothing"


def test_clear_names_who_holds_a_lock_instead_of_waiting(at: Endpoint, tmp_path: Path) -> None:
    """A session that is idle in a transaction; afterwards all is still there."""
    dataset = shop(tmp_path)
    loaded(at, dataset)
    with SERVICE.handle(at).connect(application_name="forgotten") as idle:
        idle.execute("SELECT 1 FROM shop.orders LIMIT 1")
        with pytest.raises(SeedFailed, match=rf"pid {idle.info.backend_pid} \(forgotten, as app, idle in transaction"):
            SERVICE.clear(at, {})
    assert loader(at, dataset).present()


def test_every_table_that_does_not_fit_is_named_and_nothing_is_changed(at: Endpoint, tmp_path: Path) -> None:
    """Unknown table, schema and column, kinds that do not fit, generated columns, missing values: all at once."""
    ask(at, "CREATE TABLE public.here (id int)")
    dataset = shop(tmp_path)
    tables = {
        "shop.order": Table("shop.order", "orders"),
        "nowhere.orders": Table("nowhere.orders", "orders"),
        "shop.orders": Table(
            "shop.orders", "orders", {"idd": "id", "doubled": "id", "status": "id", "total": "decimal(id, 4)"}
        ),
        "shop.customers": Table(
            "shop.customers", "customers", {"id": "email", "created": "id", "settings": "active", "email": "nobody"}
        ),
    }
    with pytest.raises(ConfigurationError) as caught:
        loader(at, replace(dataset, postgres=replace(dataset.postgres, tables=tables))).load()
    said = str(caught.value)
    for part in (
        "schema 'shop' has no table 'order' after the SQL files ran; did you mean 'shop.orders'?",
        "there is no schema 'nowhere'",
        "shop.orders.idd: the table has no column 'idd'; did you mean 'id'?",
        "shop.orders.doubled: the column is generated by the database",
        "shop.orders.status: int does not go into shop.status",
        "shop.orders.total: decimals of 4 digits do not go into",
        "shop.orders.customer_id: the column is NOT NULL without a default, and nothing fills it",
        "shop.customers.id: text does not go into bigint",
        "shop.customers.created: int does not go into timestamp with time zone",
        "shop.customers.settings: bool does not go into jsonb",
        "shop.customers.email: relation 'customers' has no column 'nobody'",
    ):
        assert part in said
    assert ask(at, "SELECT to_regnamespace('shop'), to_regnamespace('_envctl')") == [(None, None)]


def test_rows_that_are_of_no_dataset_are_a_conflict(at: Endpoint, tmp_path: Path) -> None:
    """They are neither removed nor mixed with."""
    ask(at, "CREATE TABLE t AS SELECT 1 AS id")
    table = {"t": Table("t", "customers", {"id": "id"})}
    dataset = replace(shop(tmp_path), postgres=Share(tables=table))
    assert loader(at, dataset).conflicts() == ["table t holds rows that are of no dataset"]


def test_kept_foreign_keys_make_parents_go_first(at: Endpoint, tmp_path: Path) -> None:
    """Tables that were there before keep theirs, in whatever order the dataset names them."""
    ask(at, f"SET ROLE app; {shop(tmp_path).postgres.sql[0].read_text()}")
    dataset = shop(tmp_path)
    tables = dict(reversed(dataset.postgres.tables.items()))
    loader(at, replace(dataset, postgres=Share(tables=tables))).load()
    assert ask(at, "SELECT count(*) FROM shop.orders") == [(20_000,)]
    ask(at, "DROP SCHEMA shop CASCADE")


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize(
    ("column", "expression", "said"),
    [
        ("customer_id", "id", r"orders_customer_id_fkey.*Key \(customer_id\)=\(\d+\) is not present.*\(23503\)"),
        ("id", "(id // 2) * 2", r"orders_pkey.*Key \(id\)=\(\d+\) is duplicated.*\(23505\)"),
        ("total", "decimal(4 - id, 2)", r"row 4 of relation orders: column 'total'.*money_check"),
    ],
)
def test_a_violated_constraint_is_named_with_its_values(
    at: Endpoint, tmp_path: Path, column: str, expression: str, said: str
) -> None:
    """Constraint and key, and where the server tells it the row; clearing afterwards leaves nothing."""
    dataset = shop(tmp_path)
    orders = dataset.postgres.tables["shop.orders"]
    changed = Table("shop.orders", "orders", {**orders.columns, column: expression})
    tables = {n: t for n, t in dataset.postgres.tables.items() if n != "shop.order_items"} | {"shop.orders": changed}
    changed_dataset = replace(dataset, postgres=replace(dataset.postgres, tables=tables))
    with pytest.raises(SeedFailed, match=said):
        loader(at, changed_dataset).load()
    SERVICE.clear(at, {})
    assert ask(at, "SELECT to_regnamespace('shop'), to_regnamespace('_envctl')") == [(None, None)]


def test_a_number_that_is_too_large_is_named_with_its_row(at: Endpoint, tmp_path: Path) -> None:
    """Before it is sent: PostgreSQL's own message would name neither."""
    dataset = own(tmp_path, "CREATE TABLE t (n int)")
    share = replace(dataset.postgres, tables={"t": Table("t", "many", {"n": "row * 100000"})})
    relation = {"many": Relation("many", {}, rows=30_000)}
    with pytest.raises(SeedFailed, match=r"column .n., row 21475 of relation many: 2147500000 .* into integer"):
        loader(at, replace(dataset, relations=relation, postgres=share)).load()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE shop.orders SET note = 'mine' WHERE id = 4711",
            "table shop.orders: row id=4711: column 'note' is 'mine', expected ",
        ),
        (
            "DELETE FROM shop.order_items WHERE order_id = 9",
            "table shop.order_items: row order_id=9, line=1 is missing",
        ),
        (
            "INSERT INTO shop.orders (id, customer_id, status, total) VALUES (77777, 1, 'new', 5)",
            "table shop.orders: row id=77777 is not of this dataset",
        ),
        (
            "UPDATE shop.customers SET born = NULL WHERE id = 2 OR born IS NOT NULL",
            "column 'born' is null, expected '1990",
        ),
        ("UPDATE shop.customers SET tags = '{x}' WHERE id = 5", "table shop.customers holds as many rows"),
        ("DROP TABLE shop.order_items CASCADE", "table shop.order_items is gone"),
    ],
)
def test_the_first_difference_is_told_to_the_value(at: Endpoint, tmp_path: Path, change: str, said: str) -> None:
    """Table, row by its key, column, found and expected."""
    dataset = shop(tmp_path)
    recorded = loaded(at, dataset)
    assert loader(at, dataset).difference(recorded, loader(at, dataset).measure()) == ""
    ask(at, change)
    loading = loader(at, dataset)
    assert said in loading.difference(recorded, loading.measure())


def test_the_generator_and_the_database_count_alike(at: Endpoint, tmp_path: Path) -> None:
    """A trigger that changes rows on their way is found out."""
    trigger = tmp_path / "trigger.sql"
    trigger.write_text(
        "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.total := NEW.total + 1; RETURN NEW;"
        " END $$; CREATE TRIGGER more BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION more();"
    )
    dataset = shop(tmp_path)
    changed = replace(dataset, postgres=replace(dataset.postgres, sql=(*dataset.postgres.sql, trigger)))
    with pytest.raises(SeedFailed, match=r"sum of total: .* were sent, .* are there"):
        loader(at, changed).load()


def test_sql_afterwards_runs_once(at: Endpoint, tmp_path: Path) -> None:
    """When all rows and keys are there."""
    after = tmp_path / "after.sql"
    after.write_text("UPDATE shop.orders SET note = coalesce(note, '') || '!' WHERE id = 1;")
    dataset = shop(tmp_path, after=(after,))
    loading = loader(at, dataset)
    loading.load()
    assert loading.measure() == loader(at, dataset).measure()
    loader(at, dataset).load()
    assert ask(at, "SELECT note FROM shop.orders WHERE id = 1")[0][0].count("!") == 1


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("SELECT 1;\n\nSELEC 2;", r'own.sql:3: syntax error at or near "SELEC" \(42601\)'),
        (
            "CREATE TABLE a (id int PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\nINSERT INTO a VALUES (1);",
            r"own.sql:4: .*a_pkey",
        ),
        ("SELECT 1;\n\\copy a from b", r"own.sql:2: '\\\\copy' is a command of psql"),
        ("SELECT 1;\nCOMMIT;", r"own.sql:2: COMMIT would end the transaction"),
        ("CREATE ROLE friend", r"own.sql:1: permission denied"),
    ],
)
def test_a_refused_statement_is_named_with_file_and_line(at: Endpoint, tmp_path: Path, script: str, said: str) -> None:
    """Whether the server tells the place or not; nothing of the file stays."""
    with pytest.raises(SeedFailed, match=said):
        loader(at, own(tmp_path, script)).load()
    assert ask(at, "SELECT to_regclass('a'), to_regnamespace('_envctl')") == [(None, None)]


def test_what_pg_dump_writes_can_be_run(at: Endpoint, tmp_path: Path) -> None:
    """Its settings end with the file."""
    script = (
        "\\restrict abc\nSET statement_timeout = 60000;\nSELECT pg_catalog.set_config('search_path', '', false);\n"
        "CREATE TABLE public.a (t text DEFAULT 'a;b\\c');\nCREATE FUNCTION public.f() RETURNS text LANGUAGE plpgsql AS "
        "$x$ BEGIN RETURN 'x;'; END $x$;\n\\unrestrict abc\n"
    )
    loader(at, own(tmp_path, script)).load()
    assert ask(at, "SELECT public.f()") == [("x;",)]


def test_refused_credentials_are_said_without_the_password(at: Endpoint, tmp_path: Path) -> None:
    """Who tried where, and what to do."""
    stranger = replace(at, admin=Identity("envctl", "wrong-password"))
    with pytest.raises(SeedFailed, match="password authentication failed") as caught:
        loader(stranger, shop(tmp_path)).load()
    assert "wrong-password" not in str(caught.value)


def test_stopping_ends_it_between_chunks_and_the_next_load_goes_on(at: Endpoint, tmp_path: Path) -> None:
    """As Ctrl-C does."""
    dataset, stop = shop(tmp_path), threading.Event()
    whole = loaded(at, dataset)
    SERVICE.clear(at, {})
    with pytest.raises(Interrupted):
        loader(at, dataset, progress=lambda *_: stop.set(), stop=stop).load()
    assert not loader(at, dataset).present()
    loader(at, dataset).load()
    assert loader(at, dataset).measure() == whole


def test_stopping_ends_a_statement_that_runs(at: Endpoint, tmp_path: Path) -> None:
    """Also on the server: nothing goes on there, and nothing of it stays."""
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Interrupted):
        loader(at, own(tmp_path, "CREATE TABLE t (id int); SELECT pg_sleep(300)"), stop=stop).load()
    SERVICE.clear(at, {})
    assert ask(at, "SELECT to_regclass('t'), count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == [
        (None, 0)
    ]


def test_a_lock_that_keeps_rows_out_is_told_with_its_holder(at: Endpoint, tmp_path: Path) -> None:
    """Of a table that was there before."""
    ask(at, "CREATE TABLE held (id int); ALTER TABLE held OWNER TO app")
    dataset = own(tmp_path, "")
    share = replace(dataset.postgres, tables={"held": Table("held", "many", {"id": "row"})})
    dataset = replace(dataset, relations={"many": Relation("many", {}, rows=5)}, postgres=share)
    with SERVICE.handle(at).connect(application_name="forgotten") as idle:
        idle.execute("LOCK TABLE held IN SHARE MODE")
        with pytest.raises(SeedFailed, match=rf"pid {idle.info.backend_pid} \(forgotten, .* holds held"):
            loader(at, dataset).load()
    loader(at, dataset).load()
    assert ask(at, "SELECT count(*) FROM held") == [(5,)]


def test_the_size_is_known_before_it_is_loaded(at: Endpoint, tmp_path: Path) -> None:
    """Rows exactly, bytes within a tenth of what then travels."""
    sent: list[tuple[int, int]] = []
    loading = loader(at, shop(tmp_path), progress=lambda rows, size: sent.append((rows, size)))
    expected = loading.size()
    loading.load()
    assert expected.rows == sum(rows for rows, _ in sent)
    assert expected.bytes == pytest.approx(sum(size for _, size in sent), rel=0.1)


def test_a_table_without_a_key_is_compared_by_whole_rows(at: Endpoint, tmp_path: Path) -> None:
    """Also one that is there twice."""
    dataset = own(tmp_path, "CREATE TABLE t (n int, j json)")
    share = replace(dataset.postgres, tables={"t": Table("t", "many", {"n": "row // 2", "j": "json(a=row // 2)"})})
    dataset = replace(dataset, relations={"many": Relation("many", {}, rows=20)}, postgres=share)
    recorded = loaded(at, dataset)
    with admin(at) as db:
        db.execute("DELETE FROM t WHERE ctid = (SELECT ctid FROM t WHERE n = 7 LIMIT 1)")
    loading = loader(at, dataset)
    assert loading.difference(recorded, loading.measure()) == 'table t: row (7,"{""a"":7}") is missing'

"""What can be wrong with a dataset: each said with line and key, all at once, before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.seeding.spec.conftest import Problems, Read

ITEMS = (
    "generate: {items: {rows: 3, columns: {id: row}}, none: {rows: 1, columns: {}}, "
    "logs: {per: items, open: true, columns: {n: line}}}\n"
)
OBJECT = "from: items, key: text(id), size: 4096, format: \"'csv'\", content: logs, versions: {1: {n: n}}"


def test_everything_that_is_wrong_is_said_at_once(problems: Problems) -> None:
    """Schema, names, files and expressions together, in the order of the lines."""
    found = problems("""\
        descripton: typing
        seed: -1
        words: {empty: [], lost: words.txt}
        generate:
          items:
            rows: many
            columns: {id: row +, other: missing, ok: row}
        postgres:
          sql: [schema.sql]
          tables: {items: itmes}
        kafka:
          topics:
            a b: {}
            items: {from: items, value: uid(), partitions: 0, config: {cleanup.polcy: compact}}
        redis:
          keys:
            - {from: items, key: text(ok), string: ok, hash: {a: ok}}
        python: [fixtures.py:load]
        """)
    assert found == [
        "1: descripton: unknown key; did you mean 'description'?",
        "2: seed: must be a whole number from 0; found -1",
        "3: words.empty: must be a list of words, or the path of a file with one word a line; found an empty list",
        "3: words.lost: no such file: words.txt",
        "6: generate.items.rows: must be a whole number from 1 to 2147483648; found 'many'",
        "7: generate.items.columns.id: is no expression: invalid syntax",
        "7: generate.items.columns.other: relation 'items' has no column 'missing'; known: row, id, other, ok",
        "9: postgres.sql.0: no such file: schema.sql",
        "10: postgres.tables.items: no relation is named 'itmes'; did you mean 'items'?",
        "13: kafka.topics.a b: must be a topic's name of at most 249 letters, digits, '.', '_' and '-'; found 'a b'",
        "14: kafka.topics.items.partitions: must be a whole number from 1 to 10000; found 0",
        "14: kafka.topics.items.config.cleanup.polcy: is no setting of topics; did you mean 'cleanup.policy'?",
        "14: kafka.topics.items.value: no function is named 'uid'; did you mean 'uuid'?",
        "17: redis.keys.0: must have exactly one of string, hash, list, set, zset, stream; found string and hash",
        "18: python.0: no such file: fixtures.py",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "0: fills nothing: it needs one of postgres, kafka, redis, minio, spark, python"),
        ("- small", "1: must be a mapping of keys to values, such as `description: what it is for`"),
        ("kafka: [a\n  b: 1", "2: broken YAML: "),
        ("kafka: {}\nkafka: {}", "2: kafka: written twice, first in line 1"),
        ("kafka: {topics: {..: {}}}", "1: kafka.topics...: cannot be a topic's name"),
        ("kafka: {topics: {__consumer_offsets: {}}}", "1: kafka.topics.__consumer_offsets: is Kafka's own topic"),
        ("kafka: {topics: {a.b: {}, a_b: {}}}", "1: kafka.topics.a_b: Kafka takes it for the same name as 'a.b'"),
        (f"kafka: {{topics: {{{'x' * 250}: {{}}}}}}", "a topic's name of at most 249"),
        ("minio: {buckets: {Up: {}}}", "1: minio.buckets.Up: must be a bucket's name"),
        ("minio: {buckets: {a..b: {}}}", "1: minio.buckets.a..b: S3 takes no bucket's name with '..'"),
        ("minio: {buckets: {10.0.0.1: {}}}", "1: minio.buckets.10.0.0.1: S3 takes no bucket's name"),
        ("minio: {buckets: {app: {folders: nowhere/}}}", "1: minio.buckets.app.folders: no such folder: nowhere"),
        ("python: fixtures:load", "1: python: must be a function such as fixtures.py:load"),
        ("postgres: {tables: {a.b.c: items}}", "1: postgres.tables.a.b.c: must be a table's name"),
        ("spark: {clear: mine.yaml}", "1: spark.clear: there is no `sql` whose work it could remove"),
    ],
)
def test_a_problem_without_relations(problems: Problems, text: str, expected: str) -> None:
    """Each with its line and key."""
    assert any(expected in found for found in problems(text))


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ("{columns: {}}", "1: generate.x: must have either `rows` or `per`"),
        ("{rows: 1, per: items, columns: {}}", "1: generate.x: must have either `rows` or `per`"),
        ("{rows: 1}", "1: generate.x: 'columns' is missing: a mapping of columns to expressions"),
        ("{rows: 1, most: 2, columns: {}}", "1: generate.x.most: does not go with a relation with `rows`"),
        (
            "{per: items, most: 2, columns: {}}",
            "1: generate.x: 'count' is missing: a relation `per` another one has count and most",
        ),
        ("{per: items, open: true, most: 2, columns: {}}", "1: generate.x.most: does not go with an open relation"),
        ("{per: x, count: 1, most: 1, columns: {}}", "1: generate.x.per: is its own parent: x -> x"),
        (
            "{per: itms, count: 1, most: 1, columns: {}}",
            "1: generate.x.per: no relation is named 'itms'; did you mean 'items'",
        ),
        ("{per: logs, count: 1, most: 1, columns: {}}", "1: generate.x.per: relation 'logs' is open: it has no rows"),
        ("{rows: 1, columns: {row: '1'}}", "1: generate.x.columns.row: 'row' has a meaning of its own"),
        ("{rows: 1, columns: {class: '1'}}", "1: generate.x.columns.class: 'class' has a meaning of its own"),
        ("{rows: 1, columns: {a-b: '1'}}", "1: generate.x.columns.a-b: must be a name of letters, digits and '_'"),
        ("{rows: 1, columns: {a: 2026-01-01}}", "1: generate.x.columns.a: must be an expression"),
        (
            "{rows: 1, columns: {a: [1]}}",
            "1: generate.x.columns.a: must be an expression, such as row + 1; found a list",
        ),
        ("{rows: 2147483648, columns: {}}", "1: generate.x.rows: are 4294967296 at scale 2; at most 2147483648"),
    ],
)
def test_a_problem_of_a_relation(problems: Problems, relation: str, expected: str) -> None:
    """What it is, whose it is, what its columns may be called."""
    text = ITEMS.rstrip("}\n") + "}}, x: " + relation + "}\nkafka: {topics: {t: {}}}\n"
    (only,) = problems(text, scale=2.0)
    assert expected in only


def test_parents_that_go_round_are_said_each(problems: Problems) -> None:
    """And nothing else is said of them."""
    found = problems("""\
        generate:
          a: {per: b, count: 1, most: 1, columns: {x: parent.x}}
          b: {per: a, count: 1, most: 1, columns: {x: parent.x}}
        redis: {keys: [{from: a, key: text(x), string: x}]}
        """)
    assert found == [
        "2: generate.a.per: is its own parent: a -> b -> a",
        "3: generate.b.per: is its own parent: b -> a -> b",
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            "postgres: {tables: {t: {}}}",
            "postgres.tables.t: must have exactly one of from, csv, jsonl, parquet; found none",
        ),
        ("postgres: {tables: {t: none}}", "postgres.tables.t: relation 'none' has no columns to fill it with"),
        ("postgres: {tables: {t: logs}}", "postgres.tables.t: relation 'logs' is open: only the content of objects"),
        (
            "postgres: {tables: {t: {from: items, columns: [idd]}}}",
            "postgres.tables.t.columns.0: relation 'items' has no column",
        ),
        ("kafka: {topics: {t: {from: items}}}", "kafka.topics.t: 'value' is missing"),
        ("kafka: {topics: {t: {key: id}}}", "kafka.topics.t.key: does not go without a relation: it needs `from`"),
        ("kafka: {topics: {t: {from: items, jsonl: x}}}", "kafka.topics.t: must have either `from` or `jsonl`"),
        (
            "kafka: {topics: {t: {from: items, value: id, timestamp: id}}}",
            "kafka.topics.t.timestamp: must be time; is int",
        ),
        (
            "kafka: {topics: {t: {from: items, value: id, partition: text(id)}}}",
            "kafka.topics.t.partition: must be int; is text",
        ),
        (
            "kafka: {topics: {t: {from: items, value: id, config: {cleanup.policy: compact}}}}",
            "kafka.topics.t: 'key' is missing: a compacted topic needs it",
        ),
        ("redis: {keys: [{from: items, key: text(id)}]}", "redis.keys.0: must have exactly one of string, hash, list"),
        (
            "redis: {keys: [{from: items, key: text(id), set: id, ttl: 0}]}",
            "redis.keys.0.ttl: must be a time of at least a second",
        ),
        (
            "redis: {keys: [{from: items, key: text(id), set: id, ttl: soon}]}",
            "redis.keys.0.ttl: must be a time of at least",
        ),
        (
            "redis: {keys: [{from: items, key: text(id), set: id, ttl: 1500ms}]}",
            "redis.keys.0.ttl: must be whole seconds",
        ),
        (
            "redis: {keys: {a: {from: items, key: text(id), zset: {member: id}}}}",
            "redis.keys.a.zset: 'score' is missing",
        ),
        (
            "redis: {keys: {a: {from: items, key: text(id), zset: {member: id, score: text(id)}}}}",
            "redis.keys.a.zset.score: must be int or decimal; is text",
        ),
        (
            "redis: {keys: {a: {from: items, key: text(id), set: id, when: id}}}",
            "redis.keys.a.when: must be bool; is int",
        ),
        (
            "redis: {keys: {a: {from: items, key: text(id), stream: {id: id, fields: {id: id}}}}}",
            "redis.keys.a.stream.fields.id: an entry's field cannot be named id",
        ),
    ],
)
def test_a_problem_of_what_is_filled(problems: Problems, part: str, expected: str) -> None:
    """Tables, topics and keys."""
    assert any(f"2: {expected}" in found for found in problems(ITEMS + part, x=""))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("size: 4096", "size: 100"), "size: must be a size of at least 4096 bytes, such as 1MB or 65536; found 100"),
        (("size: 4096", "size: 1kB"), "size: must be at least 4096 bytes; found 1000"),
        (("size: 4096", "size: 6GB"), "size: is 6000000000 bytes at scale 1; at most 5368709120"),
        (("size: 4096", "size: big"), "size: must be a size of at least 4096 bytes, such as 1MB or 65536; found 'big'"),
        (
            ("\"'csv'\"", "csv"),
            "has no column 'csv'; known: row, id; a text stands in quotes of its own: \"'csv'\"",
        ),
        (("\"'csv'\"", "\"'xml'\""), "format: must be one of jsonl, csv, parquet; gives 'xml'"),
        (("content: logs", "content: items"), "content: relation 'items' must be an open one"),
        (
            ("{1: {n: n}}", "{1: {n: n}, 2: {}}, version: '1'"),
            "versions.2: must be a mapping of fields to expressions, or to fields again; found an empty mapping",
        ),
        (
            ("{1: {n: n}}", "{1: {n: n}, 2: {n: n}}"),
            "'version' is missing: it says which of the versions an object has",
        ),
        (("{1: {n: n}}", "{1: {n: n}}, version: id"), "version: must be one of 1; gives 0"),
        (
            ("{1: {n: n}}", "{1: {n: {a: {b: m}}}}"),
            "versions.1.n.a.b: relation 'logs' has no column 'm'; known: row, n",
        ),
        (
            ("{1: {n: n}}", "{1: {n: n}}, defect: \"'bad'\""),
            "defect: must be one of none, corrupt, truncated, empty, encoding; gives 'bad'",
        ),
        (("{1: {n: n}}", "{1: {n: n}}, content_of: text(id)"), "content_of: must be int; is text"),
        (
            ("key: text(id)", 'key: fact("etag")'),
            "key: fact(): an object's name and content cannot depend on its own facts",
        ),
    ],
)
def test_a_problem_of_objects(problems: Problems, change: tuple[str, str], expected: str) -> None:
    """Sizes, formats, versions, defects."""
    rule = OBJECT.replace(*change)
    assert rule != OBJECT
    found = problems(f"{ITEMS}minio: {{buckets: {{app: {{objects: [{{{rule}}}]}}}}}}")
    assert len(found) == 1
    assert expected in found[0]


def test_content_of_another_relations_is_refused(problems: Problems) -> None:
    """The open relation is `per` that one from which the objects come."""
    text = ITEMS.replace("logs:", "other: {rows: 1, columns: {id: row}}, logs:").replace("per: items", "per: other")
    (only,) = problems(f"{text}minio: {{buckets: {{app: {{objects: [{{{OBJECT}}}]}}}}}}")
    assert "content: relation 'logs' must be `per: items`, as `from` says" in only


def test_word_files_without_words_are_refused(problems: Problems) -> None:
    """Empty, or no text."""
    found = problems("words: {a: a.txt, b: b.txt}\nkafka: {topics: {t: {}}}", a_txt="\n \n", b_txt=b"\xff\xfe")
    assert found == ["1: words.a: has no words: a.txt", "1: words.b: is no UTF-8 text (byte 0): b.txt"]


def test_the_lines_of_a_topics_file_are_all_looked_at(problems: Problems) -> None:
    """Each broken one is named by its number in the file."""
    lines = [
        '{"key": "a", "value": {"x": 1}, "headers": {"h": 1}, "timestamp": "2026-01-31T12:00:00Z", "partition": 1}',
        '{"key": "a"}',
        '{"value": ',
        "",
        '["value"]',
        '{"value": 1, "valeu": 2}',
        '{"value": null, "partition": 2}',
        '{"value": null, "timestamp": "soon"}',
        '{"value": null, "headers": ["h"]}',
        '{"value": NaN}',
        '{"value": null, "timestamp": 1767225600000}',
    ]
    found = problems("kafka: {topics: {t: {jsonl: t.jsonl, partitions: 2}}}", t_jsonl="\n".join(lines))
    assert [line.partition(": kafka.topics.t.jsonl: ")[::2] for line in found] == [
        ("t.jsonl:2", "has no value (null is a tombstone)"),
        ("t.jsonl:3", "broken JSON: Expecting value: line 2 column 1 (char 11)"),
        ("t.jsonl:5", "must be a JSON object"),
        ("t.jsonl:6", "unknown field 'valeu'; known: key, value, headers, timestamp, partition"),
        ("t.jsonl:7", "partition must be a whole number from 0 to 1; found 2"),
        ("t.jsonl:8", "timestamp must be milliseconds since 1970, or such as '2026-01-31T12:00:00Z'; found 'soon'"),
        ("t.jsonl:9", "headers must be an object"),
        ("t.jsonl:10", "broken JSON: NaN is no JSON"),
    ]


def test_a_compacted_topics_file_needs_keys(problems: Problems) -> None:
    """Kafka refuses records without."""
    text = "kafka: {topics: {t: {jsonl: t.jsonl, config: {cleanup.policy: compact}}}}"
    (only,) = problems(text, t_jsonl='{"value": 1}\n')
    assert "has no key, which a compacted topic needs" in only


def test_many_broken_lines_are_not_all_listed(problems: Problems) -> None:
    """Ten of them, and that there may be more."""
    found = problems("kafka: {topics: {t: {jsonl: t.jsonl}}}", t_jsonl="{}\n" * 500)
    assert len(found) == 11
    assert "more of the kind may follow" in found[0]


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("csv", "", "t.csv:1: postgres.tables.t.csv: the first line must name each column once; found nothing"),
        ("csv", "a,,b\n", "t.csv:1: postgres.tables.t.csv: the first line must name each column once; found a, , b"),
        ("csv", "a,a\n", "t.csv:1: postgres.tables.t.csv: the first line must name each column once; found a, a"),
        ("csv", "a,b\n1,2\n1\n", "t.csv:3: postgres.tables.t.csv: has 1 values; the first line names 2 columns"),
        ("csv", 'a,b\n"1"x,2\n', "t.csv:2: postgres.tables.t.csv: broken CSV: "),
        ("csv", b"a,b\n\xff,2\n", "1: postgres.tables.t.csv: is no UTF-8 text"),
        ("jsonl", '{"a": 1}\n{"a"}\n', "t.jsonl:2: postgres.tables.t.jsonl: broken JSON: "),
        ("jsonl", "[1]\n", "t.jsonl:1: postgres.tables.t.jsonl: must be a JSON object"),
        ("parquet", "PARX", "1: postgres.tables.t.parquet: is no Parquet file: t.parquet"),
    ],
)
def test_a_tables_file_is_looked_at(problems: Problems, kind: str, content: str | bytes, expected: str) -> None:
    """As far as it is cheap: the header, the first lines, the first bytes."""
    (only,) = problems(f"postgres: {{tables: {{t: {{{kind}: t.{kind}}}}}}}", **{f"t_{kind}": content})
    assert only.startswith(expected)


def test_columns_do_not_go_with_a_file(problems: Problems) -> None:
    """The file names them."""
    (only,) = problems("postgres: {tables: {t: {csv: t.csv, columns: [a]}}}", t_csv="a\n1\n")
    assert only == "1: postgres.tables.t.columns: does not go with csv: the file names the columns"


def test_a_python_file_must_have_the_function(problems: Problems) -> None:
    """It is read for that, and not run."""
    found = problems("python: [a.py:load, b.py:load]", a_py="def laod(): 1 / 0\n", b_py="def load(:\n")
    assert found == [
        "1: python.0: no function is named 'load' in a.py",
        "b.py:1: python.1: is no Python: invalid syntax",
    ]


def test_python_functions_may_be_imported_or_assigned(read: Read) -> None:
    """Whatever gives the file that name."""
    found = read("python: [a.py:dump, a.py:load]", a_py="from json import dump\nload = dump\n")
    assert [function.name for function in found.functions] == ["dump", "load"]


def test_sparks_statements_are_told_apart(read: Read) -> None:
    """A semicolon in quotes or comments ends none; what has only comments is none."""
    sql = "-- a; b\nCREATE VIEW a AS SELECT ';' AS x;\n/* ; */ SELECT 'it\\'s;' ;\n-- the end;\n"
    found = read("spark: {sql: views.sql}", views_sql=sql).spark.sql
    assert found == ("-- a; b\nCREATE VIEW a AS SELECT ';' AS x", "/* ; */ SELECT 'it\\'s;'")


def test_a_spark_file_without_statements_is_refused(problems: Problems) -> None:
    """It would be there for nothing."""
    assert problems("spark: {sql: a.sql}", a_sql="-- nothing;\n") == ["1: spark.sql: has no statement: a.sql"]


def test_aliases_that_contain_themselves_or_multiply_come_to_an_end(problems: Problems) -> None:
    """YAML can say more than there is memory for."""
    assert problems("kafka: &x {topics: *x}")
    tenfold = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))
    assert problems(f"a0: &a0 [x]\n{tenfold}")


def test_a_folder_where_a_file_must_be_is_said_to_be_one(problems: Problems, tmp_path: Path) -> None:
    """Not: missing."""
    (tmp_path / "sql").mkdir()
    assert problems("postgres: {sql: sql}") == ["1: postgres.sql: is a folder: sql"]

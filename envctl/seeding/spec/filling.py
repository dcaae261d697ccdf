"""`postgres`, `kafka` and `redis`: what fills tables, topics and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.config import seconds
from envctl.config.validation import nearest
from envctl.seeding.spec import content, settings, topics
from envctl.seeding.spec.model import Keys, Postgres, Redis, Table, Topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.config.validation import Place
    from envctl.seeding.spec.draft import Draft

_FILES = ("csv", "jsonl", "parquet")
_TYPES = ("string", "hash", "list", "set", "zset", "stream")
_FROM_RELATION = ("key", "value", "headers", "timestamp", "partition")


def postgres(draft: Draft) -> Postgres:
    """What `postgres` says."""
    part = draft.part("postgres")
    given = {name: value for name, value in draft.part("postgres", "tables").items() if value is not None}
    return Postgres(
        sql=draft.paths(part, ("postgres", "sql")),
        tables={name: _table(draft, name, value) for name, value in given.items()},
        after=draft.paths(part, ("postgres", "after")),
    )


def _table(draft: Draft, name: str, given: Any) -> Table:  # noqa: ANN401 - a mapping, or a relation's name
    place: Place = ("postgres", "tables", name)
    if isinstance(given, str):
        return Table(name, relation=_with_columns(draft, place, draft.relation({name: given}, place)))
    sources = [key for key in ("from", *_FILES) if key in given]
    if len(sources) != 1:
        draft.problem(place, f"must have exactly one of from, csv, jsonl, parquet; found {_listed(sources)}")
        return Table(name)
    source = sources[0]
    if source != "from":
        if "columns" in given:
            draft.problem((*place, "columns"), f"does not go with {source}: the file names the columns")
        file = draft.file((*place, source), given[source]) if given[source] else None
        if file:
            content.judge_table(draft, (*place, source), file, source)
        return Table(name, file=file, format=source)
    relation = draft.relation(given, (*place, "from"))
    columns = _columns(draft, given, place, relation)
    return Table(name, relation=relation if columns else _with_columns(draft, place, relation), columns=columns)


def _with_columns(draft: Draft, place: Place, relation: str) -> str:
    """The relation, whose columns are those of the table; it must have some."""
    if relation and not draft.part("generate", relation, "columns"):
        draft.problem(place, f"relation {relation!r} has no columns to fill it with")
    return relation


def _columns(draft: Draft, given: dict[str, Any], place: Place, relation: str) -> dict[str, str]:
    """The table's columns with their expressions; a list names columns of the relation."""
    columns = given.get("columns")
    if not isinstance(columns, list):
        return draft.expressions(given, (*place, "columns"), relation)
    named = {str(number): name for number, name in enumerate(columns) if name is not None}
    return {name: draft.expression(named, (*place, "columns", number), relation) for number, name in named.items()}


def kafka(draft: Draft) -> dict[str, Topic]:
    """What `kafka` says: its topics."""
    given = draft.part("kafka", "topics")
    for name in given:
        other = topics.collision(name, iter(given))
        if message := topics.refusal(name):
            draft.problem(("kafka", "topics", name), message)
        elif other > name:
            draft.problem(("kafka", "topics", other), f"Kafka takes it for the same name as {name!r}")
    return {name: _topic(draft, name, part) for name, part in given.items() if part is not None}


def _topic(draft: Draft, name: str, part: dict[str, Any]) -> Topic:
    place: Place = ("kafka", "topics", name)
    config = {key: _setting(value) for key, value in draft.part(*place, "config").items()}
    for key, value in config.items():
        if key not in settings.NAMES:
            draft.problem((*place, "config", key), f"is no setting of topics; {nearest(key, [*settings.NAMES])}")
        elif refused := settings.refusal(key, value):
            draft.problem((*place, "config", key), refused)
    partitions = part.get("partitions") or 1
    keyed = "compact" in config.get("cleanup.policy", "")
    _judge_topic(draft, place, part, keyed=keyed)
    relation = draft.relation(part, (*place, "from"))
    file = draft.file((*place, "jsonl"), part["jsonl"]) if part.get("jsonl") else None
    if file:
        content.judge_messages(draft, (*place, "jsonl"), file, partitions, keyed=keyed)
    return Topic(
        name,
        partitions=partitions,
        config=config,
        relation=relation,
        key=draft.expression(part, (*place, "key"), relation),
        value=draft.expression(part, (*place, "value"), relation),
        headers=draft.expressions(part, (*place, "headers"), relation),
        timestamp=draft.expression(part, (*place, "timestamp"), relation, ("time",)),
        partition=draft.expression(part, (*place, "partition"), relation, ("int",)),
        file=file,
    )


def _judge_topic(draft: Draft, place: Place, part: dict[str, Any], *, keyed: bool) -> None:
    """A topic has `from` with `value`, or `jsonl`, or is empty."""
    if "from" in part and "jsonl" in part:
        draft.problem(place, "must have either `from` or `jsonl`")
        return
    if "from" not in part:
        for key in _FROM_RELATION:
            if key in part:
                why = "the lines of the file say it" if "jsonl" in part else "it needs `from`"
                draft.problem((*place, key), f"does not go without a relation: {why}")
        return
    if "value" not in part:
        draft.problem(place, "'value' is missing: an expression, or \"None\" for tombstones alone")
    if keyed and "key" not in part:
        draft.problem(place, "'key' is missing: a compacted topic needs it")


def redis(draft: Draft) -> Redis:
    """What `redis` says."""
    part = draft.part("redis")
    found = [_keys(draft, place, rule) for place, rule in draft.each(part, ("redis", "keys"))]
    return Redis(tuple(rule for rule in found if rule), draft.paths(part, ("redis", "commands")))


def _keys(draft: Draft, place: Place, part: dict[str, Any]) -> Keys | None:
    types = [key for key in _TYPES if key in part]
    relation = draft.relation(part, (*place, "from"))
    key = draft.expression(part, (*place, "key"), relation)
    when = draft.expression(part, (*place, "when"), relation, ("bool",))
    ttl = _seconds(draft, (*place, "ttl"), part.get("ttl"))
    if len(types) != 1:
        draft.problem(place, f"must have exactly one of {', '.join(_TYPES)}; found {_listed(types)}")
        return None
    return Keys(relation, key, types[0], dict(_fields(draft, place, part, types[0], relation)), ttl, when)


def _fields(draft: Draft, place: Place, part: dict[str, Any], kind: str, relation: str) -> Iterator[tuple[str, str]]:
    at, given = (*place, kind), part[kind]
    if kind in {"string", "list", "set"}:
        yield ("value" if kind == "string" else "member"), draft.expression(part, at, relation)
    elif not isinstance(given, dict):
        return
    elif kind == "hash":
        yield from draft.expressions(part, at, relation).items()
    elif kind == "zset":
        yield "member", draft.expression(given, (*at, "member"), relation)
        yield "score", draft.expression(given, (*at, "score"), relation, ("int", "decimal"))
    else:
        yield "id", draft.expression(given, (*at, "id"), relation)
        if "id" in (given.get("fields") or {}):
            draft.problem((*at, "fields", "id"), "an entry's field cannot be named id, which is the entry's own")
        yield from draft.expressions(given, (*at, "fields"), relation).items()


def _seconds(draft: Draft, place: Place, given: float | str | None) -> int:
    """Whole seconds, as Redis counts them; 0 for none."""
    if given is None:
        return 0
    found = seconds(given)
    if found < 1 or found != int(found):
        draft.problem(place, f"must be whole seconds, at least one; found {found:g}")
    return int(found)


def _setting(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(names: list[str]) -> str:
    return " and ".join(names) or "none"

"""The functions of the language of datasets: each takes a call's arguments apart and returns what makes the column."""

from __future__ import annotations

import datetime as dt
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envctl.seeding import philox, texts
from envctl.seeding.column import Column, Kind, constant
from envctl.seeding.expressions import ExpressionError
from envctl.seeding.operators import number, summable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl.seeding.column import Flags, Integers
    from envctl.seeding.expressions import Arguments, Evaluator
    from envctl.seeding.world import Chunk

_UNITS_US = {
    "milliseconds": 1000,
    "seconds": 10**6,
    "minutes": 60 * 10**6,
    "hours": 3600 * 10**6,
    "days": 86400 * 10**6,
}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LARGEST = 1 << 31
_STEEPEST = 6


def _number(call: Arguments) -> Evaluator:
    """number(low, high, skew=1): whole numbers, both ends included; skew 2, 3 … makes low ones more frequent."""
    low, high = call.literal("low", int), call.literal("high", int)
    skew, address = _skew(call), call.draw()
    if not 0 <= high - low < _LARGEST:
        raise ExpressionError(f"number(): from {low} to {high} is no range of 1 to 2**31 numbers")
    return lambda chunk: Column(Kind.INT, philox.below(chunk.words(address), high - low + 1, skew) + low)


def _chance(call: Arguments) -> Evaluator:
    """chance(p): true with probability p."""
    p, address = call.literal("p", (int, float)), call.draw()
    if not 0 <= p <= 1:
        raise ExpressionError(f"chance(): {p} is no probability from 0 to 1")
    threshold = np.uint64(min(round(p * 2**53), 2**53 - 1) << 11)
    return lambda chunk: Column(Kind.BOOL, chunk.words(address) < threshold if p < 1 else np.ones(len(chunk), np.bool_))


def _choose(call: Arguments) -> Evaluator:
    """choose({"a": 3, "b": 1}) or choose(["a", "b"]): one of the values, as often as the weights say."""
    values, weights = _weights(call)
    address = call.draw()
    return lambda chunk: _taken(values, philox.weighted(chunk.words(address), weights))


def _deal(call: Arguments) -> Evaluator:
    """deal({"a": 3, "b": 1}): as choose, and in every 4 (the sum) consecutive rows exactly 3 and 1."""
    values, weights = _weights(call)
    address = call.draw()
    return lambda chunk: _taken(values, chunk.dealt(address, weights))


def _word(call: Arguments) -> Evaluator:
    """word("first_names", skew=1): a word of a list; with skew the first ones are more frequent."""
    name, skew, address = call.literal("list", str), _skew(call), call.draw()

    def make(chunk: Chunk) -> Column:
        words = _word_list(chunk, name)
        return _taken(words, philox.below(chunk.words(address), len(words), skew))

    return make


def _pick(call: Arguments) -> Evaluator:
    """pick("cities", n) or pick(["a", "b"], n): the value at place n (from 0), counted round at the end."""
    given, place = call.literal("values", (str, list)), call.value("place")
    listed = None if isinstance(given, str) else _listed(given, call.name)

    def make(chunk: Chunk) -> Column:
        values, found = _word_list(chunk, given) if listed is None else listed, place(chunk)
        return _taken(values, number(found) % len(values), found.valid)

    return make


def _ref(call: Arguments) -> Evaluator:
    """ref(customers, skew=1): the row of another relation; with skew some of its rows, here and there, get the most."""
    (relation, _), skew, address = call.path("relation"), _skew(call), call.draw()

    def make(chunk: Chunk) -> Column:
        limit = chunk.world.rows(relation)
        drawn = philox.below(chunk.words(address), limit, skew)
        if skew > 1:
            drawn = philox.scattered(drawn, limit, int(chunk.world.stream(relation)[0]))
        return Column(Kind.INT, drawn)

    return make


def _at(call: Arguments) -> Evaluator:
    """at(products.price, r): the column's value in row r of that relation."""
    (relation, column), rows = call.path("column"), call.value("row")

    def make(chunk: Chunk) -> Column:
        table, wanted = chunk.world.lookup(relation, column), number(rows(chunk))
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(table):
            raise ExpressionError(
                f"at(): row {wanted.min()} or {wanted.max()} is not in {relation} (0 to {len(table) - 1})"
            )
        return table.take(wanted)

    return make


def _total(call: Arguments) -> Evaluator:
    """total(items.amount): the sum over the rows per this row; total(items): how many there are."""
    relation, column = call.path("column")

    def make(chunk: Chunk) -> Column:
        children = chunk.children(relation)
        ends = np.cumsum(np.bincount(children.parent_index, minlength=len(chunk)))
        if not column:
            return Column(Kind.INT, np.diff(ends, prepend=0))
        amounts = children.column(column)
        numbers = summable(amounts, "total")
        # Children stand in their parents' order, so that a parent's sum is the growth of the running sum over them.
        running = np.concatenate([[0], np.cumsum(numbers)])
        return Column(amounts.kind, np.diff(running[ends], prepend=0), None, amounts.scale)

    return make


def _gather(call: Arguments) -> Evaluator:
    """gather(items.document): a JSON array of that column of the rows per this row."""
    relation, column = call.path("column")

    def make(chunk: Chunk) -> Column:
        children = chunk.children(relation)
        documents = texts.json_value(children.column(column))
        counts = np.bincount(children.parent_index, minlength=len(chunk))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), documents)
        return Column(Kind.JSON, pc.binary_join_element_wise("[", pc.binary_join(lists, ","), "]", ""))

    return make


def _tally(call: Arguments) -> Evaluator:
    """tally(items.product, items.quantity): for each row here, the sum over all rows there whose first column it is."""
    index = call.path("index")
    amount = call.path("amount") if call.given("amount") else (index[0], "")
    if amount[0] != index[0] or not index[1]:
        raise ExpressionError(
            "tally(): wants two columns of one relation, such as tally(items.product, items.quantity)"
        )

    def make(chunk: Chunk) -> Column:
        table = chunk.world.tally(chunk.world.rows(chunk.relation.name), index, amount)
        return table.take(chunk.rows)

    return make


def _rows(call: Arguments) -> Evaluator:
    """rows(orders): how many rows that relation has."""
    relation, _ = call.path("relation")
    return lambda chunk: constant(chunk.world.rows(relation), len(chunk))


def _moment(call: Arguments) -> Evaluator:
    """moment("2025-01-01", "2026-01-01"): a time; they grow with the row, evenly and with chance between."""
    start, end, address = _instant(call, "start"), _instant(call, "end"), call.draw()
    if end <= start:
        raise ExpressionError("moment(): the end must be after the start")

    def make(chunk: Chunk) -> Column:
        # Each row has its own stratum of the span, so that the order of the rows is the order of the times.
        total = chunk.world.rows(chunk.relation.name) if not chunk.relation.per else None
        if total is None:
            raise ExpressionError("moment() stands in relations with `rows`; here add to parent's time")
        width, spare = divmod(end - start, total)
        begin = chunk.rows * width + chunk.rows * spare // total
        return Column(Kind.TIME, start + begin + _spread(chunk.words(address), width))

    return make


def _time(call: Arguments) -> Evaluator:
    """time("2025-01-01T12:00:00Z"): always this time."""
    value = _instant(call, "time")
    return lambda chunk: Column(Kind.TIME, np.full(len(chunk), value, np.int64))


def _millis(call: Arguments) -> Evaluator:
    """millis(t): whole milliseconds since 1970."""
    value = call.value("time")
    return lambda chunk: Column(Kind.INT, _of_kind(value(chunk), Kind.TIME, "millis").numbers // 1000)


def _date(call: Arguments) -> Evaluator:
    """date(t): the day in UTC."""
    value = call.value("time")
    return lambda chunk: Column(Kind.DATE, _of_kind(value(chunk), Kind.TIME, "date").numbers // (86400 * 10**6))


def _duration(unit: str) -> Callable[[Arguments], Evaluator]:
    def make(call: Arguments) -> Evaluator:
        value, factor = call.value("count"), _UNITS_US[unit]

        def evaluate(chunk: Chunk) -> Column:
            found = value(chunk)
            return Column(Kind.INT, number(found) * factor, found.valid)

        return evaluate

    make.__doc__ = f"{unit}(n): n {unit}, to be added to a time."
    return make


def _decimal(call: Arguments) -> Evaluator:
    """decimal(1250, 2): 12.50."""
    units, scale = call.value("units"), call.literal("digits", int)

    def make(chunk: Chunk) -> Column:
        found = units(chunk)
        if found.kind not in {Kind.INT, Kind.DECIMAL}:
            raise ExpressionError(f"decimal(): {found.kind} is no number")
        return Column(Kind.DECIMAL, found.numbers, found.valid, scale)

    return make


def _hex(call: Arguments) -> Evaluator:
    """hex(n): n random hexadecimal digits, up to 16."""
    digits, address = call.literal("digits", int), call.draw()
    if not 1 <= digits <= 16:  # noqa: PLR2004 - digits of one word
        raise ExpressionError(f"hex(): {digits} is not from 1 to 16")
    return lambda chunk: Column(Kind.TEXT, texts.hexadecimal(chunk.words(address), digits))


def _uuid(call: Arguments) -> Evaluator:
    """uuid(): a random UUID."""
    high, low = call.draw(), call.draw()
    return lambda chunk: Column(Kind.TEXT, texts.uuids(chunk.words(high), chunk.words(low)))


def _text(call: Arguments) -> Evaluator:
    """text(x): the value as text."""
    value = call.value("value")

    def make(chunk: Chunk) -> Column:
        found = value(chunk)
        return Column(Kind.TEXT, texts.text(found), found.valid)

    return make


def _changed(function: Any) -> Callable[[Arguments], Evaluator]:  # noqa: ANN401 - a function of Arrow's
    def make(call: Arguments) -> Evaluator:
        value = call.value("text")

        def evaluate(chunk: Chunk) -> Column:
            found = _of_kind(value(chunk), Kind.TEXT, call.name)
            return Column(Kind.TEXT, function(found.strings), found.valid)

        return evaluate

    make.__doc__ = f"{function.__name__.removeprefix('utf8_')}(text)."
    return make


def _json(call: Arguments) -> Evaluator:
    """json(a=x, b=y): a JSON object."""
    fields = call.named()
    return lambda chunk: Column(
        Kind.JSON,
        texts.json_object({name: make(chunk) for name, make in fields.items()}) if fields else _repeat("{}", chunk),
    )


def _array(call: Arguments) -> Evaluator:
    """array(x, y): a JSON array."""
    items = call.rest()

    def make(chunk: Chunk) -> Column:
        pieces: list[Any] = []
        for item in items:
            pieces += [",", texts.json_value(item(chunk))]
        return Column(
            Kind.JSON, pc.binary_join_element_wise("[", *pieces[1:], "]", "") if items else _repeat("[]", chunk)
        )

    return make


def _extreme(function: Any) -> Callable[[Arguments], Evaluator]:  # noqa: ANN401 - a ufunc
    def make(call: Arguments) -> Evaluator:
        left, right = call.value("a"), call.value("b")

        def evaluate(chunk: Chunk) -> Column:
            a, b = left(chunk), right(chunk)
            if a.kind is not b.kind or a.scale != b.scale:
                raise ExpressionError(f"{call.name}(): {a.kind} and {b.kind} are not of one kind")
            return Column(a.kind, function(a.numbers, b.numbers), None, a.scale)

        return evaluate

    make.__doc__ = f"{function.__name__.removesuffix('imum')}(a, b)."
    return make


def _permute(call: Arguments) -> Evaluator:
    """permute(): the rows of this relation in another order; unique."""
    address = call.draw()

    def make(chunk: Chunk) -> Column:
        limit = chunk.world.rows(chunk.relation.name)
        return Column(
            Kind.INT, philox.scattered(chunk.rows, limit, int(chunk.world.stream(*address)[0] >> np.uint64(33)))
        )

    return make


def _fact(call: Arguments) -> Evaluator:
    """fact("size" | "etag" | "rows"): of the object that is generated from this row."""
    name = call.literal("name", str)
    if name not in {"size", "etag", "rows"}:
        raise ExpressionError(f"fact(): {name!r} is not size, etag or rows")

    def make(chunk: Chunk) -> Column:
        if chunk.world.facts is None:
            raise ExpressionError("fact(): nothing makes objects from this relation")
        return chunk.world.facts(chunk.relation.name, chunk.rows)[name]

    return make


_MAKERS: dict[str, Callable[[Arguments], Evaluator]] = {
    "number": _number,
    "chance": _chance,
    "choose": _choose,
    "deal": _deal,
    "word": _word,
    "pick": _pick,
    "ref": _ref,
    "at": _at,
    "total": _total,
    "gather": _gather,
    "tally": _tally,
    "rows": _rows,
    "moment": _moment,
    "time": _time,
    "millis": _millis,
    "date": _date,
    **{unit: _duration(unit) for unit in _UNITS_US},
    "decimal": _decimal,
    "hex": _hex,
    "uuid": _uuid,
    "text": _text,
    "lower": _changed(pc.utf8_lower),
    "upper": _changed(pc.utf8_upper),
    "json": _json,
    "array": _array,
    "min": _extreme(np.minimum),
    "max": _extreme(np.maximum),
    "permute": _permute,
    "fact": _fact,
}


def _closed(make: Callable[[Arguments], Evaluator]) -> Callable[[Arguments], Evaluator]:
    """The maker, and then no argument may be left."""

    def closed(call: Arguments) -> Evaluator:
        evaluator = make(call)
        call.end()
        return evaluator

    closed.__doc__ = make.__doc__
    return closed


FUNCTIONS: Mapping[str, Callable[[Arguments], Evaluator]] = MappingProxyType(
    {name: _closed(make) for name, make in _MAKERS.items()}
)


def _skew(call: Arguments) -> int:
    skew: int = call.literal("skew", int, 1)
    if not 1 <= skew <= _STEEPEST:
        raise ExpressionError(f"{call.name}(): skew {skew} is not from 1 (none) to {_STEEPEST}")
    return skew


def _weights(call: Arguments) -> tuple[pa.Array, list[int]]:
    """Values and weights of a literal list or mapping."""
    given = call.literal("values", (dict, list))
    weights = list(given.values()) if isinstance(given, dict) else [1] * len(given)
    if not all(isinstance(w, int) and w >= 0 for w in weights) or not 0 < sum(weights) < _LARGEST:
        raise ExpressionError(f"{call.name}(): weights must be whole numbers, such as {{'paid': 9, 'failed': 1}}")
    return _listed(list(given), call.name), weights


def _listed(values: list[Any], function: str) -> pa.Array:
    """A literal list as values to choose from."""
    texts_alone = all(isinstance(v, str) for v in values)
    if not values or not (texts_alone or all(isinstance(v, int) and not isinstance(v, bool) for v in values)):
        raise ExpressionError(f"{function}(): the values must all be texts or all whole numbers")
    return pa.array(values, pa.string() if texts_alone else pa.int64())


def _word_list(chunk: Chunk, name: str) -> pa.Array:
    words = chunk.world.words.get(name)
    if words is None:
        known = ", ".join(sorted(chunk.world.words)) or "none"
        raise ExpressionError(f"no word list is named {name!r}; known: {known}")
    return words


def _taken(values: pa.Array, index: Integers, valid: Flags | None = None) -> Column:
    if values.type == pa.string():
        return Column(Kind.TEXT, values.take(pa.array(index)), valid)
    return Column(Kind.INT, values.to_numpy()[index], valid)


def _instant(call: Arguments, name: str) -> int:
    written = call.literal(name, str)
    try:
        moment = dt.datetime.fromisoformat(written)
    except ValueError as error:
        raise ExpressionError(
            f"{call.name}(): {written!r} is no time such as '2026-01-31' or '2026-01-31T12:00'"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _spread(random: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """Numbers from 0 up to `width`, which may be larger than 2**32."""
    shift = max(0, width.bit_length() - 31)
    return philox.below(random, max(1, width >> shift)) << shift


def _of_kind(column: Column, kind: Kind, name: str) -> Column:
    if column.kind is not kind:
        raise ExpressionError(f"{name}(): {column.kind} stands where {kind} must")
    return column


def _repeat(text: str, chunk: Chunk) -> pa.StringArray:
    return pa.repeat(text, len(chunk))

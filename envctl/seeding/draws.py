"""Functions of the language that draw by chance, each from a stream of random words of its own."""

# ruff: noqa: D402 - the first lines say how the functions are called in datasets

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from envctl.seeding import arrow, philox, texts
from envctl.seeding.column import Column, Kind
from envctl.seeding.expressions import ExpressionError
from envctl.seeding.operators import number
from envctl.seeding.values import instant

if TYPE_CHECKING:
    from envctl.seeding.column import Flags, Integers
    from envctl.seeding.expressions import Arguments, Evaluator
    from envctl.seeding.world import Chunk

_LARGEST = 1 << 31
_STEEPEST = 6


def whole(call: Arguments) -> Evaluator:
    """number(low, high, skew=1): whole numbers, both ends included; skew 2, 3 … makes low ones more frequent."""
    low, high = call.literal("low", int), call.literal("high", int)
    skew, address = _skew(call), call.draw()
    if not 0 <= high - low < _LARGEST:
        raise ExpressionError(f"number(): from {low} to {high} is no range of 1 to 2**31 numbers")
    return lambda chunk: Column(Kind.INT, philox.below(chunk.words(address), high - low + 1, skew) + low)


def chance(call: Arguments) -> Evaluator:
    """chance(p): true with probability p."""
    p, address = call.literal("p", (int, float)), call.draw()
    if not 0 <= p <= 1:
        raise ExpressionError(f"chance(): {p} is no probability from 0 to 1")
    threshold = np.uint64(min(round(p * 2**53), 2**53 - 1) << 11)
    return lambda chunk: Column(Kind.BOOL, chunk.words(address) < threshold if p < 1 else np.ones(len(chunk), np.bool_))


def choose(call: Arguments) -> Evaluator:
    """choose({"a": 3, "b": 1}) or choose(["a", "b"]): one of the values, as often as the weights say."""
    values, weights = _weights(call)
    address = call.draw()
    return lambda chunk: _taken(values, philox.weighted(chunk.words(address), weights))


def deal(call: Arguments) -> Evaluator:
    """deal({"a": 3, "b": 1}): as choose, and in every 4 (the sum) consecutive rows exactly 3 and 1."""
    values, weights = _weights(call)
    address = call.draw()
    return lambda chunk: _taken(values, chunk.dealt(address, weights))


def word(call: Arguments) -> Evaluator:
    """word("first_names", skew=1): a word of a list; with skew the first ones are more frequent."""
    name, skew, address = call.literal("list", str), _skew(call), call.draw()

    def make(chunk: Chunk) -> Column:
        words = _word_list(chunk, name)
        return _taken(words, philox.below(chunk.words(address), len(words), skew))

    return make


def pick(call: Arguments) -> Evaluator:
    """pick("cities", n) or pick(["a", "b"], n): the value at place n (from 0), counted round at the end."""
    given, place = call.literal("values", (str, list)), call.value("place")
    listed = None if isinstance(given, str) else _listed(given, call.name)

    def make(chunk: Chunk) -> Column:
        values, found = _word_list(chunk, given) if listed is None else listed, place(chunk)
        return _taken(values, number(found) % len(values), found.valid)

    return make


def ref(call: Arguments) -> Evaluator:
    """ref(customers, skew=1): the row of another relation; with skew some of its rows, here and there, get the most."""
    (relation, _), skew, address = call.path("relation"), _skew(call), call.draw()

    def make(chunk: Chunk) -> Column:
        limit = chunk.world.numbered(relation, "ref")
        drawn = philox.below(chunk.words(address), limit, skew)
        if skew > 1:
            drawn = philox.scattered(drawn, limit, int(chunk.world.stream(relation)[0]))
        return Column(Kind.INT, drawn)

    return make


def permute(call: Arguments) -> Evaluator:
    """permute(): the rows of this relation in another order; unique."""
    address = call.draw()

    def make(chunk: Chunk) -> Column:
        limit = chunk.world.numbered(chunk.relation.name, "permute")
        return Column(
            Kind.INT, philox.scattered(chunk.rows, limit, int(chunk.world.stream(*address)[0] >> np.uint64(33)))
        )

    return make


def hexadecimal(call: Arguments) -> Evaluator:
    """hex(n): n random hexadecimal digits, up to 16."""
    digits, address = call.literal("digits", int), call.draw()
    if not 1 <= digits <= 16:  # noqa: PLR2004 - digits of one word
        raise ExpressionError(f"hex(): {digits} is not from 1 to 16")
    return lambda chunk: Column(Kind.TEXT, texts.hexadecimal(chunk.words(address), digits))


def uuid(call: Arguments) -> Evaluator:
    """uuid(): a random UUID."""
    high, low = call.draw(), call.draw()
    return lambda chunk: Column(Kind.TEXT, texts.uuids(chunk.words(high), chunk.words(low)))


def moment(call: Arguments) -> Evaluator:
    """moment("2025-01-01", "2026-01-01"): a time; they grow with the row, evenly and with chance between."""
    start, end, address = instant(call, "start"), instant(call, "end"), call.draw()
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
    return arrow.strings(values) if texts_alone else arrow.array(np.array(values, np.int64))


def _word_list(chunk: Chunk, name: str) -> pa.Array:
    words = chunk.world.words.get(name)
    if words is None:
        known = ", ".join(sorted(chunk.world.words)) or "none"
        raise ExpressionError(f"no word list is named {name!r}; known: {known}")
    return words


def _taken(values: pa.Array, index: Integers, valid: Flags | None = None) -> Column:
    if values.type == pa.string():
        return Column(Kind.TEXT, values.take(arrow.array(index)), valid)
    return Column(Kind.INT, np.frombuffer(values.buffers()[1], np.int64)[index], valid)


def _spread(random: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """Numbers from 0 up to `width`, which may be larger than 2**32."""
    shift = max(0, width.bit_length() - 31)
    return philox.below(random, max(1, width >> shift)) << shift

"""The language of datasets: a small, safe part of Python's expressions, compiled once and run on whole columns.

Names are the relation's columns, `row` (its number, from 0), and in a relation `per` another one `line` (from 0 within
the parent) and `parent.column`. Operators: `+ - * // %`, comparisons, `in [..]`, `is None`, `and or not`,
`a if c else b`, and f-strings (`f"{id:06}"` pads with zeros). Functions: `envctl.seeding.vocabulary`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from envctl.seeding import arrow, operators
from envctl.seeding.column import Column, Kind, constant
from envctl.seeding.texts import padded, text

if TYPE_CHECKING:
    import pyarrow as pa

    from envctl.seeding.world import Chunk

Evaluator = Callable[["Chunk"], Column]


_WIDEST = 100
"""Digits of a padded number: far more than it has, far fewer than make a chunk large."""


class ExpressionError(ValueError):
    """What is wrong with an expression, in one sentence."""


@dataclass
class Place:
    """Where an expression stands: every random draw in it gets a stream of its own by this address."""

    relation: str
    column: str
    draws: int = field(default=0)

    def next_draw(self) -> tuple[str, str, int]:
        """The address of the next draw, in the order of the text."""
        self.draws += 1
        return self.relation, self.column, self.draws


def compiled(source: str, place: Place) -> Evaluator:
    """The expression as a function of a chunk.

    Raises:
        ExpressionError: it is not in the language; what is said of names and kinds comes when it is run.

    """
    try:
        tree = ast.parse(source.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ExpressionError(f"is no expression: {getattr(error, 'msg', error)}") from error
    return _Compiler(place).visit(tree.body)


class _Compiler:
    """One method a kind of node; what has none is not in the language."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def visit(self, node: ast.expr) -> Evaluator:
        method: Callable[[Any], Evaluator] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise ExpressionError(f"{ast.unparse(node)!r} is not in the language of datasets")
        return method(node)

    def _constant(self, node: ast.Constant) -> Evaluator:
        value = node.value
        if value is not None and not isinstance(value, bool | int | str):
            raise ExpressionError(
                f"{value!r} is no whole number, text, True, False or None (decimal(1250, 2) is 12.50)"
            )
        return lambda chunk: constant(value, len(chunk))

    def _name(self, node: ast.Name) -> Evaluator:
        name = node.id
        return lambda chunk: chunk.column(name)

    def _attribute(self, node: ast.Attribute) -> Evaluator:
        if not isinstance(node.value, ast.Name) or node.value.id != "parent":
            raise ExpressionError(f"{ast.unparse(node)!r}: only `parent.column` may stand here")
        name = node.attr
        return lambda chunk: chunk.of_parent(name)

    def _unaryop(self, node: ast.UnaryOp) -> Evaluator:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda chunk: operators.negated(operand(chunk))
        if isinstance(node.op, ast.USub):
            return lambda chunk: operators.arithmetic("*", operand(chunk), constant(-1, len(chunk)))
        raise ExpressionError(f"{ast.unparse(node)!r} is not in the language of datasets")

    def _binop(self, node: ast.BinOp) -> Evaluator:
        sign = operators.ARITHMETIC.get(type(node.op))
        if sign is None:
            raise ExpressionError(f"{ast.unparse(node)!r}: the operators are + - * // %")
        left, right = self.visit(node.left), self.visit(node.right)
        return lambda chunk: operators.arithmetic(sign, left(chunk), right(chunk))

    def _boolop(self, node: ast.BoolOp) -> Evaluator:
        parts = [self.visit(value) for value in node.values]
        every = isinstance(node.op, ast.And)
        return lambda chunk: operators.combined([part(chunk) for part in parts], every=every)

    def _compare(self, node: ast.Compare) -> Evaluator:
        if len(node.ops) != 1:
            raise ExpressionError(f"{ast.unparse(node)!r}: compare two things at a time, joined by `and`")
        operator, right = node.ops[0], node.comparators[0]
        left = self.visit(node.left)
        if isinstance(operator, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise ExpressionError("`is` goes with None alone")
            return lambda chunk: operators.is_null(left(chunk), wanted=isinstance(operator, ast.Is))
        if isinstance(operator, ast.In | ast.NotIn):
            values = literal(right)
            if not isinstance(values, list | tuple) or not values:
                raise ExpressionError("`in` wants a list of values, such as ['paid', 'shipped']")
            return lambda chunk: operators.member(left(chunk), values, wanted=isinstance(operator, ast.In))
        sign = operators.COMPARISONS[type(operator)]
        other = self.visit(right)
        return lambda chunk: operators.comparison(sign, left(chunk), other(chunk))

    def _ifexp(self, node: ast.IfExp) -> Evaluator:
        condition, then, otherwise = self.visit(node.test), self.visit(node.body), self.visit(node.orelse)
        if not (_writes(node.body) or _writes(node.orelse)):
            return lambda chunk: operators.either(condition(chunk), then(chunk), otherwise(chunk))

        def parted(chunk: Chunk) -> Column:
            where = operators.truth(condition(chunk))
            parts = (chunk.only(np.flatnonzero(rows)) for rows in (where, ~where))
            return operators.merged(where, then(next(parts)), otherwise(next(parts)))

        return parted

    def _joinedstr(self, node: ast.JoinedStr) -> Evaluator:
        pieces = [self._piece(value) for value in node.values] or [lambda _: ""]
        return lambda chunk: Column(Kind.TEXT, _concatenated([piece(chunk) for piece in pieces], len(chunk)))

    def _piece(self, node: ast.expr) -> Callable[[Chunk], pa.StringArray | str]:
        if isinstance(node, ast.Constant):
            literal_text = str(node.value)
            return lambda _: literal_text
        if not isinstance(node, ast.FormattedValue):
            raise ExpressionError(f"{ast.unparse(node)!r} cannot stand in an f-string")
        value, width = self.visit(node.value), _width(node.format_spec)
        if width:
            return lambda chunk: padded(operators.number(value(chunk)), width)
        return lambda chunk: text(value(chunk))

    def _call(self, node: ast.Call) -> Evaluator:
        from envctl.seeding.vocabulary import FUNCTIONS

        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in FUNCTIONS:
            import difflib

            near = difflib.get_close_matches(name, FUNCTIONS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(FUNCTIONS))}"
            raise ExpressionError(f"no function is named {name!r}; {hint}")
        return FUNCTIONS[name](Arguments(self, name, node))


class Arguments:
    """The arguments of one call, taken one by one by the function's maker; what is left over is an error."""

    def __init__(self, compiler: _Compiler, name: str, node: ast.Call) -> None:
        self._compiler, self.name = compiler, name
        self._positional = list(node.args)
        self._named = {word.arg: word.value for word in node.keywords if word.arg}
        if len(self._named) != len(node.keywords):
            raise ExpressionError(f"{name}(): ** is not in the language")

    def draw(self) -> tuple[str, str, int]:
        """The address of a random stream of this call's own."""
        return self._compiler.place.next_draw()

    def value(self, name: str) -> Evaluator:
        """A column; it must be given."""
        return self._compiler.visit(self._node(name))

    def literal(self, name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:  # noqa: ANN401 - its kind
        """A constant of a kind; without a default it must be given."""
        if not self._positional and name not in self._named and default is not None:
            return default
        found = literal(self._node(name))
        if not isinstance(found, kind) or (isinstance(found, bool) and bool not in _kinds(kind)):
            wanted = " or ".join(k.__name__ for k in _kinds(kind))
            raise ExpressionError(f"{self.name}(): {name} must be a constant {wanted}; found {found!r}")
        return found

    def path(self, name: str) -> tuple[str, str]:
        """`relation.column`, or `relation` alone with an empty column."""
        node = self._node(name)
        if isinstance(node, ast.Name):
            return node.id, ""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return node.value.id, node.attr
        raise ExpressionError(
            f"{self.name}(): {name} must be a relation or relation.column; found {ast.unparse(node)!r}"
        )

    def given(self, name: str) -> bool:
        """Whether there is one more argument of this name or in its place."""
        return bool(self._positional) or name in self._named

    def rest(self) -> list[Evaluator]:
        """All further columns without names."""
        found = [self._compiler.visit(node) for node in self._positional]
        self._positional = []
        return found

    def named(self) -> dict[str, Evaluator]:
        """All further columns with names."""
        found = {name: self._compiler.visit(node) for name, node in self._named.items()}
        self._named = {}
        return found

    def end(self) -> None:
        """Refuse what nobody took."""
        left = [ast.unparse(node) for node in self._positional] + list(self._named)
        if left:
            raise ExpressionError(f"{self.name}(): too much: {', '.join(left)}")

    def _node(self, name: str) -> ast.expr:
        if self._positional:
            return self._positional.pop(0)
        if name in self._named:
            return self._named.pop(name)
        raise ExpressionError(f"{self.name}(): {name} is missing")


def literal(node: ast.expr) -> Any:  # noqa: ANN401 - any constant
    """A constant: number, text, list or mapping of constants."""
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ExpressionError(f"{ast.unparse(node)!r} must be a constant") from error


def _kinds(kind: type | tuple[type, ...]) -> tuple[type, ...]:
    return kind if isinstance(kind, tuple) else (kind,)


def _writes(node: ast.expr) -> bool:
    """Whether it makes texts of several pieces: that is dear, so each side of an `if` makes those of its rows alone."""
    return any(
        isinstance(part, ast.JoinedStr)
        or (isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in {"json", "array"})
        for part in ast.walk(node)
    )


def _width(spec: ast.expr | None) -> int:
    """The digits of `{x:06}`; 0 without a format."""
    if spec is None:
        return 0
    written = "".join(str(part.value) for part in getattr(spec, "values", []) if isinstance(part, ast.Constant))
    if not (written.startswith("0") and written.isdigit()):
        raise ExpressionError(f"format {written!r}: only zeros and a width, such as {{id:06}}")
    if int(written) > _WIDEST:
        raise ExpressionError(f"format {written!r}: at most {_WIDEST} digits")
    return int(written)


def _concatenated(pieces: list[pa.StringArray | str], length: int) -> pa.StringArray:
    if all(isinstance(piece, str) for piece in pieces):
        return arrow.repeated("".join(map(str, pieces)), length)
    return arrow.concatenated(*pieces)

"""The functions of the language of datasets: each takes a call's arguments apart and returns what makes the column."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from envctl.seeding import draws, lookups, values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl.seeding.expressions import Arguments, Evaluator

_MAKERS: dict[str, Callable[[Arguments], Evaluator]] = {
    "number": draws.whole,
    "chance": draws.chance,
    "choose": draws.choose,
    "deal": draws.deal,
    "word": draws.word,
    "pick": draws.pick,
    "ref": draws.ref,
    "at": lookups.at,
    "total": lookups.total,
    "gather": lookups.gather,
    "tally": lookups.tally,
    "rows": lookups.rows,
    "moment": draws.moment,
    "time": values.time,
    "millis": values.millis,
    "date": values.date,
    **{unit: values.duration(unit) for unit in values.UNITS_US},
    "decimal": values.decimal,
    "hex": draws.hexadecimal,
    "uuid": draws.uuid,
    "text": values.text,
    "lower": values.changed(pc.utf8_lower),
    "upper": values.changed(pc.utf8_upper),
    "json": values.json,
    "array": values.array,
    "min": values.extreme(np.minimum),
    "max": values.extreme(np.maximum),
    "permute": draws.permute,
    "fact": lookups.fact,
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

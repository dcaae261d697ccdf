"""Arrow arrays from their buffers: what comes out, and that pandas stays out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa

from envctl.seeding import arrow

# Generates and encodes for every service what `small` is made of, in a process of its own.
_WHOLE_SMALL = """
import sys
from envctl.seeding import texts
from envctl.seeding.column import joined
from envctl.seeding.objects import compute
from envctl.seeding.estimate import sizes
from envctl.seeding.facts import Facts
from envctl.seeding.spec import load
from envctl.seeding.world import World

dataset = load("small", 0.1)
sizes(dataset)
world = World(dataset)
world.facts = Facts(compute(world, dataset)).columns
for name, relation in dataset.relations.items():
    if not relation.open:
        chunk = world.chunk(name, 0)
        joined(*(texts.json_value(chunk.column(column)) for column in relation.columns))
sys.exit("pandas" in sys.modules)
"""


def test_integers_and_truths_are_what_they_were() -> None:
    """Arrays of 4 and 8 bytes, signed and not, and truths come out as they went in."""
    for values in (np.arange(-3, 9), np.arange(5, dtype=np.int32), np.array([1 << 63], np.uint64)):
        assert arrow.array(values).to_pylist() == values.tolist()
    truths = np.arange(19) % 3 == 0
    assert arrow.array(truths).to_pylist() == truths.tolist()


def test_truths_come_back_from_any_slice() -> None:
    """A slice's own bits are read, not those before it."""
    truths = np.arange(29) % 5 == 0
    for start in range(12):
        assert arrow.flags(arrow.array(truths)[start:]).tolist() == truths[start:].tolist()


def test_texts_and_bytes_are_what_they_were() -> None:
    """Empty ones and characters of several bytes among them."""
    assert arrow.strings(["", "Łódź", "東京"]).to_pylist() == ["", "Łódź", "東京"]
    assert arrow.binaries([b"\0", b"", b"ab"]).to_pylist() == [b"\0", b"", b"ab"]
    assert arrow.strings([]).to_pylist() == []
    assert arrow.repeated("é", 3).to_pylist() == ["é"] * 3


def test_pieces_of_a_row_stand_one_after_the_other() -> None:
    """Texts, constants, and what stands between them."""
    rows = arrow.strings(["a", "b"])
    assert arrow.concatenated("<", rows, ">").to_pylist() == ["<a>", "<b>"]
    assert arrow.concatenated(rows, rows, between=",").to_pylist() == ["a,a", "b,b"]


def test_the_bounds_of_a_slice_are_its_own() -> None:
    """The offsets of exactly its rows; one for an empty array."""
    rows = arrow.strings(["a", "bb", "ccc"])
    assert arrow.bounds(rows[1:]).tolist() == [1, 3, 6]
    assert len(arrow.bounds(pa.array([], pa.string()))) == 1


def test_generating_imports_no_pandas() -> None:
    """It would cost each seeding process 0.3 s and 50 MB, where it is installed."""
    done = subprocess.run([sys.executable, "-c", _WHOLE_SMALL], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

"""Tables from files: CSV as it is, JSON lines and Parquet turned into COPY's text, block by block."""

from __future__ import annotations

import csv
import json
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.services.postgres.seeding.catalog import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from envctl.services.postgres.seeding.catalog import TableColumn

_BLOCK = 1 << 18
_SAMPLED = 1000
"""Lines of a JSONL file whose keys make the columns."""

_BATCH = 8192
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_MEND = "mend the file, then seed again"


@dataclass
class File:
    """One file of rows. `blocks` gives its bytes for a COPY with the options of `copy`."""

    path: Path
    format: str
    columns: tuple[str, ...] = ()
    skipped: list[int] = field(default_factory=list)
    """Rows that stand for lines which hold none (blank ones): the number of rows before each."""

    def copy(self, table: str) -> str:
        """The statement that takes the blocks."""
        names = ", ".join(map(quoted, self.columns))
        options = "FORMAT csv, HEADER true, ENCODING 'UTF8'" if self.format == "csv" else "ENCODING 'UTF8'"
        return f"COPY {table} ({names}) FROM STDIN ({options})"

    def blocks(self, types: Mapping[str, TableColumn]) -> Iterator[bytes]:
        """The file's rows, some hundred kB at a time.

        Raises:
            SeedFailed: the file is not what its name says.

        """
        try:
            if self.format == "csv":
                yield from _csv_blocks(self.path)
            elif self.format == "jsonl":
                yield from self._lines(types)
            else:
                yield from _parquet_blocks(self.path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SeedFailed(f"rows from {self.path}", str(error), _MEND) from error

    def place(self, line: int) -> str:
        """Where in the file the server's line of COPY is: `file:line`, or the row of a Parquet file."""
        if self.format == "parquet":
            return f"{self.path}: row {line}"
        # Every blank line of JSONL counts in the file, and not for the server.
        line = line + bisect_right(self.skipped, line) if self.format == "jsonl" else _csv_line(self.path, line)
        return f"{self.path}:{line}"

    def _lines(self, types: Mapping[str, TableColumn]) -> Iterator[bytes]:
        rows, sent, size = [], 0, 0
        self.skipped.clear()
        for number, text in _numbered(self.path):
            if not text.strip():
                self.skipped.append(sent + 1)
                continue
            row = self._row(number, text, types)
            sent, size = sent + 1, size + len(row)
            rows.append(row)
            if size > _BLOCK:
                yield "".join(rows).encode()
                rows, size = [], 0
        yield "".join(rows).encode()

    def _row(self, number: int, text: str, types: Mapping[str, TableColumn]) -> str:
        record = _record(self.path, number, text)
        unknown = record.keys() - set(self.columns)
        if unknown:
            raise SeedFailed(
                f"rows from {self.path}",
                f"{self.path}:{number}: key {min(unknown)!r} is in none of the first {_SAMPLED} lines",
                "name it in the first line too (null, where it has no value), then seed again",
            )
        return "\t".join(_field(record.get(name), types[name].array) for name in self.columns) + "\n"


def opened(path: Path, format_: str) -> File:
    """The file with the names of its columns, from its header, its first keys or its schema.

    Raises:
        SeedFailed: it cannot be read as what it should be.

    """
    try:
        if format_ == "csv":
            # What is no UTF-8 the server refuses, with its line.
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
                names = next(csv.reader(stream), [])
        elif format_ == "jsonl":
            keys: dict[str, None] = {}
            for number, text in islice(_numbered(path), _SAMPLED):
                if text.strip():
                    keys |= dict.fromkeys(_record(path, number, text))
            names = list(keys)
        else:
            names = _parquet(path).schema_arrow.names
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SeedFailed(f"rows from {path}", str(error), _MEND) from error
    if not names:
        raise SeedFailed(f"rows from {path}", "it names no column", _MEND)
    return File(path, format_, tuple(names))


def rows(path: Path, format_: str) -> int:
    """How many rows there are, or nearly: lines of a CSV file with line ends inside of values count each."""
    if format_ == "parquet":
        return int(_parquet(path).metadata.num_rows)
    with path.open("rb") as stream:
        count, last = 0, b"\n"
        while block := stream.read(1 << 20):
            count, last = count + block.count(b"\n"), block[-1:]
    return max(0, count + (last != b"\n") - (format_ == "csv"))


class _Exact(float):
    """A JSON number with a fraction, that knows how it was written."""

    written: str


def _exact(written: str) -> _Exact:
    number = _Exact(written)
    number.written = written
    return number


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise SeedFailed(f"rows from {path}", f"{path}:{number}: is no UTF-8: {error.reason}", _MEND) from error


def _record(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        record = json.loads(text, parse_float=_exact)
    except ValueError as error:
        raise SeedFailed(f"rows from {path}", f"{path}:{number}: is no JSON: {error}", _MEND) from error
    if not isinstance(record, dict):
        raise SeedFailed(f"rows from {path}", f"{path}:{number}: is no JSON object", _MEND)
    return record


def _field(value: object, array: bool) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, _Exact):
        return value.written
    if isinstance(value, list) and array:
        return _array(value).translate(_ESCAPES)
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPES)


def _array(values: list[Any]) -> str:
    """A list as PostgreSQL writes arrays: `{1,"a b",NULL}`."""
    items = []
    for value in values:
        if value is None:
            items.append("NULL")
        elif isinstance(value, list):
            items.append(_array(value))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            items.append('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    return "{" + ",".join(items) + "}"


def _csv_blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        first = stream.read(_BLOCK).removeprefix(b"\xef\xbb\xbf")
        yield first
        while block := stream.read(_BLOCK):
            yield block


def _csv_line(path: Path, line: int) -> int:
    """The first line of the record that the server means by `line`: it counts records, and line ends in their values
    if they are of the sort that ends the first record.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        sign = "\n" if not stream.readline().endswith(("\r\n", "\r")) else "\r"
        stream.seek(0)
        counted, start, reader = 0, 1, csv.reader(stream)
        for record in reader:
            counted += 1 + sum(value.count(sign) for value in record)
            if counted >= line:
                return start
            start = reader.line_num + 1
    return line


def _parquet(path: Path) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise SeedFailed(f"rows from {path}", f"is no Parquet file: {error}", _MEND) from error


def _parquet_blocks(path: Path) -> Iterator[bytes]:
    import pyarrow.compute as pc

    from envctl.seeding.column import contiguous

    for batch in _parquet(path).iter_batches(_BATCH):
        fields: list[Any] = []
        for column in batch.columns:
            fields += ["\t", pc.fill_null(_texts(column), "\\N")]
        yield bytes(contiguous(pc.binary_join_element_wise(*fields[1:], "\n", "")))


def _texts(column: pa.Array) -> pa.Array:
    """An Arrow column as fields of COPY's text format; nulls stay null."""
    import pyarrow as pa

    from envctl.services.postgres.seeding.encoding import escaped

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_nested(kind):
        return escaped(
            pa.array([None if v is None else json.dumps(v, default=str) for v in column.to_pylist()], pa.string())
        )
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if v is None else f"\\\\x{v.hex()}" for v in column.to_pylist()], pa.string())
    return escaped(column.cast(pa.string()))

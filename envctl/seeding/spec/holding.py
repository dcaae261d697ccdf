"""`minio`, `spark` and `python`: what fills buckets, what Spark is told, and what is called at the end."""

from __future__ import annotations

import ast
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from envctl.seeding.spec.draft import SMALLEST_OBJECT, text
from envctl.seeding.spec.model import Bucket, Folder, Function, Objects, Shape, Spark

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from envctl.config.validation import Place
    from envctl.seeding.spec.draft import Draft

FORMATS = ("jsonl", "csv", "parquet")
DEFECTS = ("none", "corrupt", "truncated", "empty", "encoding")

LARGEST_OBJECT = 5 * 2**30
"""Bytes that S3 takes in one PUT."""

_FOLDER = ("path", "prefix")
"""The keys of one folder."""

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"([0-9.]+) ?([A-Za-z]*)")
_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}")
# A statement's parts in which `;` ends nothing, then `;` itself. Spark escapes quotes by a backslash.
_SQL = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`|--[^\n]*|/\*.*?\*/)|(;)""", re.DOTALL)


def minio(draft: Draft) -> dict[str, Bucket]:
    """What `minio` says: its buckets."""
    given = draft.part("minio", "buckets")
    return {name: _bucket(draft, name, part) for name, part in given.items() if part is not None}


def _bucket(draft: Draft, name: str, part: dict[str, Any]) -> Bucket:
    place: Place = ("minio", "buckets", name)
    wrong = re.search(r"\.\.|\.-|-\.", name) or _ADDRESS.fullmatch(name) or name.startswith("xn--")
    if wrong or name.endswith("-s3alias"):
        draft.problem(
            place, "S3 takes no bucket's name with '..', '.-' or '-.', that begins with xn--, or is an address"
        )
    folders = [_folder(draft, at, item) for at, item in _folders(draft, part, (*place, "folders"))]
    rules = [_objects(draft, at, rule) for at, rule in draft.each(part, (*place, "objects"))]
    return Bucket(name, tuple(folder for folder in folders if folder), tuple(rules))


def _folders(draft: Draft, part: dict[str, Any], place: Place) -> Iterable[tuple[Place, Any]]:
    """The folders with their places. A mapping has either the keys of one folder, or folders by names of its own."""
    given = part.get("folders")
    if not isinstance(given, dict):
        return draft.each(part, place)
    of_one = [key for key in _FOLDER if not isinstance(given.get(key, {}), dict)]
    if not of_one:
        return draft.each(part, place)
    if len(of_one) == len(given) and "path" in given:
        return [(place, given)]
    draft.problem(
        (*place, of_one[0]),
        "is a key of one folder, which is {path: …, prefix: …}; of several, each has a name: {NAME: {path: …}}",
    )
    return []


def _folder(draft: Draft, place: Place, given: Any) -> Folder | None:  # noqa: ANN401 - a mapping, or a path
    written = given if isinstance(given, str) else given.get("path")
    if not written:
        return None
    path = draft.sheet.path(place, written)
    if not path.is_dir():
        draft.problem(place, f"no such folder: {path}")
        return None
    draft.files.update(dict.fromkeys(sorted([path, *path.rglob("*")])))
    return Folder(path, "" if isinstance(given, str) else given.get("prefix") or "")


def _objects(draft: Draft, place: Place, part: dict[str, Any]) -> Objects:
    relation = draft.relation(part, (*place, "from"))
    content = draft.relation(part, (*place, "content"), opened=True)
    if relation and content and draft.part("generate", content).get("per") != relation:
        draft.problem((*place, "content"), f"relation {content!r} must be `per: {relation}`, as `from` says")

    def expression(key: str, kinds: tuple[str, ...], among: tuple[str, ...] = ()) -> str:
        return draft.expression(part, (*place, key), relation, kinds, among, decides=True)

    versions = part.get("versions") or {}
    shapes = {key: _shape(draft, (*place, "versions", key), shape, content) for key, shape in versions.items()}
    if "version" not in part and len(versions) > 1:
        draft.problem(place, "'version' is missing: it says which of the versions an object has")
    return Objects(
        relation,
        expression("key", ("text",)),
        _size(draft, (*place, "size"), part.get("size")),
        expression("format", ("text",), FORMATS),
        content,
        shapes,
        expression("version", ("int", "text"), tuple(versions)) or repr(next(iter(versions), "")),
        content_of=expression("content_of", ("int",)) or "row",
        defect=expression("defect", ("text",), DEFECTS) or "'none'",
    )


def _shape(draft: Draft, place: Place, given: dict[str, Any] | None, content: str) -> Shape:
    """The fields of a record, those of nested records in mappings of their own."""
    found: dict[str, Any] = {}
    for name, value in (given or {}).items():
        if isinstance(value, dict):
            found[name] = _shape(draft, (*place, name), value, content)
        else:
            found[name] = draft.expression({name: value}, (*place, name), content, decides=True)
    return found


def _size(draft: Draft, place: Place, given: int | str | None) -> int:
    if given is None:
        return SMALLEST_OBJECT
    number, _, unit = _SIZE.sub(r"\1 \2", text(given)).partition(" ")
    size = int(Decimal(number) * _UNITS[unit.upper() or "B"])
    scaled = draft.scaled_size(size)
    if size < SMALLEST_OBJECT:
        draft.problem(place, f"must be at least {SMALLEST_OBJECT} bytes; found {size}")
    if scaled > LARGEST_OBJECT:
        what = f"is {scaled} bytes at scale {draft.scale:g}; at most {LARGEST_OBJECT}"
        draft.too_many(place, what, scaled, LARGEST_OBJECT)
    return scaled


def spark(draft: Draft) -> Spark:
    """What `spark` says, statement by statement."""
    part = draft.part("spark")
    if "clear" in part and "sql" not in part:
        draft.problem(("spark", "clear"), "there is no `sql` whose work it could remove")
    return Spark(_statements(draft, part, "sql"), _statements(draft, part, "clear"))


def _statements(draft: Draft, part: dict[str, Any], key: str) -> tuple[str, ...]:
    found: list[str] = []
    for place, written in draft.each(part, ("spark", key)):
        file = draft.file(place, written)
        try:
            statements = split(file.read_text("utf-8-sig")) if file else []
        except UnicodeDecodeError as error:
            draft.problem(place, f"is no UTF-8 text (byte {error.start}): {file}")
            continue
        if file and not statements:
            draft.problem(place, f"has no statement: {file}")
        found += statements
    return tuple(found)


def split(sql: str) -> list[str]:
    """The statements of a text of Spark SQL; a `;` in quotes or comments ends none."""
    pieces, start = [], 0
    for found in _SQL.finditer(sql):
        if found[2]:
            pieces.append(sql[start : found.start()])
            start = found.end()
    pieces.append(sql[start:])
    return [
        piece.strip() for piece in pieces if _SQL.sub(lambda m: "" if m[0][:2] in {"--", "/*"} else m[0], piece).strip()
    ]


def functions(draft: Draft) -> tuple[Function, ...]:
    """What `python` says."""
    found = []
    for place, written in draft.each(draft.sheet.values, ("python",)):
        path, _, name = written.rpartition(":")
        file = draft.file(place, path)
        if file and _defines(draft, place, file, name):
            found.append(Function(file, name))
    return tuple(found)


def _defines(draft: Draft, place: Place, file: Path, name: str) -> bool:
    """Whether the file has something of that name on its top level; read, not run."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 0
        draft.wrong_in(file, place, line, f"is no Python: {getattr(error, 'msg', error)}")
        return False
    names = {getattr(node, "name", "") for node in tree.body}
    names |= {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if name not in names:
        draft.problem(place, f"no function is named {name!r} in {file}")
    return name in names

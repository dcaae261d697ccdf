"""From a name or a path to a dataset that is right; all that is wrong is said at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import ConfigurationError, Problem
from envctl.seeding.scale import checked
from envctl.seeding.spec import filling, holding, relations, sheet
from envctl.seeding.spec.digest import digest
from envctl.seeding.spec.draft import Draft
from envctl.seeding.spec.finding import find, shipped
from envctl.seeding.spec.model import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

WANTED = "a valid dataset"


def load(reference: str, scale: float = 1.0, *, folders: Sequence[Path] = ()) -> Dataset:
    """The dataset of a name or path at a scale, with every file that it names looked at and every expression tried.

    A name is looked for in `folders`, then among the datasets that ship. Nothing is loaded, no service is asked.

    Raises:
        UnknownName: no dataset has that name; UsageError: the scale is none.
        ConfigurationError: with every problem: file, line, key and what is wrong there.

    """
    scale = checked(scale)
    every = (*folders, shipped())
    file = find(reference, every)
    read = sheet.read(file, every)
    if not read.whole:
        raise ConfigurationError(read.problems, WANTED)
    draft = Draft(read, scale)
    draft.judge()
    try:
        dataset = _dataset(draft, file)
        _try_expressions(draft, dataset)
        if not read.problems:
            return replace(dataset, digest=digest(dataset))
    except OSError as error:  # a file that went, or was locked, since it was looked at
        read.problems.append(Problem(f"cannot be read: {error.strerror}", file=Path(error.filename or file)))
    raise ConfigurationError(_sorted(read.problems, read.files), WANTED, draft.advice())


def _dataset(draft: Draft, file: Path) -> Dataset:
    """What the values say, as far as they are right."""
    values = draft.sheet.values
    if values.get("abstract"):
        draft.problem(("abstract",), "this dataset is there to be extended, and cannot be loaded")
    words, generated = relations.words(draft), relations.relations(draft)
    dataset = Dataset(
        name=file.stem,
        file=file,
        description=values.get("description") or "",
        seed=values.get("seed") or 0,
        scale=float(draft.scale),
        words=words,
        relations=generated,
        postgres=filling.postgres(draft),
        topics=filling.kafka(draft),
        redis=filling.redis(draft),
        buckets=holding.minio(draft),
        spark=holding.spark(draft),
        functions=holding.functions(draft),
        files=(*draft.sheet.files, *draft.files),
    )
    if not dataset.services and not dataset.functions and not draft.sheet.problems:
        draft.problem((), "fills nothing: it needs one of postgres, kafka, redis, minio, spark, python")
    return dataset


def _try_expressions(draft: Draft, dataset: Dataset) -> None:
    """Try what there is to be tried. numpy and Arrow (80 ms) are imported only for datasets that generate."""
    if dataset.relations:
        from envctl.seeding.spec import trial

        trial.judge(draft, dataset)


def _sorted(problems: Sequence[Problem], files: Sequence[Path]) -> list[Problem]:
    """Each problem once, in the order in which a reader meets them: the dataset's own file first."""
    order = {file: number for number, file in enumerate(files)}
    return sorted(dict.fromkeys(problems), key=lambda found: (order.get(found.file, len(order)), found.line))  # type: ignore[arg-type]

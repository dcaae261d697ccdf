"""Datasets as their YAML files say them.

`load` reads and checks one; docs/datasets.md says how they are written.
"""

from envctl.seeding.spec.model import (
    Bucket,
    Dataset,
    Folder,
    Function,
    Keys,
    Objects,
    Postgres,
    Redis,
    Relation,
    Spark,
    Table,
    Topic,
)
from envctl.seeding.spec.reading import load

__all__ = [
    "Bucket",
    "Dataset",
    "Folder",
    "Function",
    "Keys",
    "Objects",
    "Postgres",
    "Redis",
    "Relation",
    "Spark",
    "Table",
    "Topic",
    "load",
]

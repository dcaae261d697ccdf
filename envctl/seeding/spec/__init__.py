"""Datasets as their YAML files say them."""

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
]

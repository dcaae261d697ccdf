"""Running a dataset's Spark SQL, reading back what it made, and removing that again."""

from envctl.services.spark_connect.seeding.loader import SparkLoader, clear

__all__ = ["SparkLoader", "clear"]

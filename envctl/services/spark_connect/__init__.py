"""Spark Connect."""

from envctl.services.spark_connect.service import SparkConnect, SparkConnectHandle

__all__ = ["SparkConnect", "SparkConnectHandle"]

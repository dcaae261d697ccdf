"""Filling Redis from a dataset, reading it back, and removing it again."""

from envctl.services.redis.seeding.clearing import clear
from envctl.services.redis.seeding.loader import RedisLoader

__all__ = ["RedisLoader", "clear"]

"""Redis."""

from envctl.services.redis.service import Redis, RedisHandle

__all__ = ["Redis", "RedisHandle"]

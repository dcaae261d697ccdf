"""What a scenario needs of an environment: its services' clients, and how it is healed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from envctl.chaos.recovery import Recovered
    from envctl.services.kafka import KafkaHandle
    from envctl.services.minio import MinioHandle
    from envctl.services.postgres import PostgresHandle
    from envctl.services.redis import RedisHandle
    from envctl.services.spark_connect import SparkConnectHandle


class Host(Protocol):
    """An environment, as `envctl.Environment` is one."""

    name: str

    @property
    def postgres(self) -> PostgresHandle:
        """PostgreSQL, as the app identity."""
        ...

    @property
    def redis(self) -> RedisHandle:
        """Redis, as the app identity."""
        ...

    @property
    def kafka(self) -> KafkaHandle:
        """Kafka, as the app identity."""
        ...

    @property
    def minio(self) -> MinioHandle:
        """MinIO, as the app identity."""
        ...

    @property
    def spark(self) -> SparkConnectHandle:
        """Spark Connect."""
        ...

    def wait_recovered(self, service: str, timeout: float | str = 60.0) -> Recovered:
        """Wait until a service is what it was before it was hurt."""
        ...

    def variables(self) -> dict[str, str]:
        """Connection data under the names that libraries read by themselves."""
        ...

    def secret_variables(self) -> frozenset[str]:
        """Which of `variables` hold secrets."""
        ...

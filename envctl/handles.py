"""The services' clients as one environment offers them: a property for each service of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from envctl.protocols import HasHandle
from envctl.services.kafka import KafkaHandle
from envctl.services.minio import MinioHandle
from envctl.services.postgres import PostgresHandle
from envctl.services.redis import RedisHandle
from envctl.services.spark_connect import SparkConnectHandle
from envctl.services.zookeeper import ZooKeeperHandle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.residents import Residents

H = TypeVar("H")


class Handles:
    """What an `Environment` gives to those who use its services."""

    def _residents(self, needed: Sequence[str] = ()) -> Residents:
        """The environment as it is now, with the services that are needed."""
        raise NotImplementedError

    @property
    def postgres(self) -> PostgresHandle:
        """PostgreSQL, as the app identity."""
        return self._handle("postgres", PostgresHandle)

    @property
    def redis(self) -> RedisHandle:
        """Redis, as the app identity."""
        return self._handle("redis", RedisHandle)

    @property
    def kafka(self) -> KafkaHandle:
        """Kafka, as the app identity."""
        return self._handle("kafka", KafkaHandle)

    @property
    def zookeeper(self) -> ZooKeeperHandle:
        """ZooKeeper."""
        return self._handle("zookeeper", ZooKeeperHandle)

    @property
    def minio(self) -> MinioHandle:
        """MinIO, as the app identity."""
        return self._handle("minio", MinioHandle)

    @property
    def spark(self) -> SparkConnectHandle:
        """Spark Connect."""
        return self._handle("spark-connect", SparkConnectHandle)

    def _handle(self, service: str, kind: type[H]) -> H:
        """The service's handle, of the kind that it is known to make."""
        residents = self._residents([service])
        known = residents.services[service]
        handle = known.handle(residents.endpoint(service)) if isinstance(known, HasHandle) else None
        if not isinstance(handle, kind):
            raise TypeError(f"{service} makes {type(handle).__name__}, not {kind.__name__}")
        return handle

"""The services' clients as one environment offers them: a property for each service of the catalog."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from envctl.config.durations import seconds
from envctl.protocols import HasHandle
from envctl.services.kafka import KafkaHandle
from envctl.services.minio import MinioHandle
from envctl.services.postgres import PostgresHandle
from envctl.services.redis import RedisHandle
from envctl.services.spark_connect import SparkConnectHandle
from envctl.services.zookeeper import ZooKeeperHandle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.chaos.recovery import Recovered
    from envctl.chaos.ward import Ward
    from envctl.config import Settings
    from envctl.engine.docker_engine import DockerEngine
    from envctl.residents import Residents
    from envctl.scenarios.calls import Chaos

H = TypeVar("H")


class Handles:
    """What an `Environment` gives to those who use its services, and to those who hurt them."""

    name: str
    settings: Settings
    _engine: DockerEngine

    def _residents(self, needed: Sequence[str] = ()) -> Residents:
        """The environment as it is now, with the services that are needed."""
        raise NotImplementedError

    def variables(self) -> dict[str, str]:
        """Connection data under the names that libraries read by themselves."""
        raise NotImplementedError

    def secret_variables(self) -> frozenset[str]:
        """Which of `variables` hold secrets."""
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

    @property
    def chaos(self) -> Chaos:
        """Faults: a method for each, and what is in force; and scenarios made of them."""
        from envctl.scenarios.calls import Chaos
        from envctl.scenarios.finding import beside

        return Chaos(self._ward, self, beside(self.settings.seeds))

    def wait_recovered(self, service: str, timeout: float | str = 60.0) -> Recovered:
        """Wait until a service is what it was before it was hurt: nothing in force, ready, the same identities.

        Raises:
            NotReadyInTime: `timeout` (seconds or text) passed; says what was in force, or what the service answered.

        """
        from envctl.chaos.recovery import wait_recovered

        return wait_recovered(self._ward, service, seconds(timeout))

    @cached_property
    def _ward(self) -> Ward:
        """Kept, for its lines to the surgeon."""
        from envctl.chaos.ward import Ward

        return Ward(self.name, self._engine, self.settings)

    def _handle(self, service: str, kind: type[H]) -> H:
        """The service's handle, of the kind that it is known to make."""
        residents = self._residents([service])
        known = residents.services[service]
        handle = known.handle(residents.endpoint(service)) if isinstance(known, HasHandle) else None
        if not isinstance(handle, kind):
            raise TypeError(f"{service} makes {type(handle).__name__}, not {kind.__name__}")
        return handle

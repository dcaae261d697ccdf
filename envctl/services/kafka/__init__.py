"""Kafka 3 with ZooKeeper."""

from envctl.services.kafka.handle import KafkaHandle
from envctl.services.kafka.service import Kafka

__all__ = ["Kafka", "KafkaHandle"]

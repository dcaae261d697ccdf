"""How Kafka is hurt where it takes knowledge of Kafka: its identities, its transactions."""

from envctl.services.kafka.chaos.credentials import KafkaCredentials
from envctl.services.kafka.chaos.transactions import KafkaTransactions

__all__ = ["KafkaCredentials", "KafkaTransactions"]

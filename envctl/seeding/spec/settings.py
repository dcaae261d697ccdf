"""The settings that Kafka's topics have, and which values they take.

org.apache.kafka.common.config.TopicConfig, and the validators of the storage's LogConfig, of Kafka 3.9.2. What depends
on the broker, such as which versions of the format it knows, is left to it.
"""

from __future__ import annotations

import re

_INT, _LONG = 2**31 - 1, 2**63 - 1

WHOLE = {
    "compression.lz4.level": (1, 17),
    "compression.zstd.level": (-131072, 22),
    "delete.retention.ms": (0, _LONG),
    "file.delete.delay.ms": (0, _LONG),
    "flush.messages": (1, _LONG),
    "flush.ms": (0, _LONG),
    "index.interval.bytes": (0, _INT),
    "local.retention.bytes": (-2, _LONG),
    "local.retention.ms": (-2, _LONG),
    "max.compaction.lag.ms": (1, _LONG),
    "max.message.bytes": (0, _INT),
    "message.timestamp.after.max.ms": (0, _LONG),
    "message.timestamp.before.max.ms": (0, _LONG),
    "message.timestamp.difference.max.ms": (0, _LONG),
    "min.compaction.lag.ms": (0, _LONG),
    "min.insync.replicas": (1, _INT),
    "retention.bytes": (-_LONG - 1, _LONG),
    "retention.ms": (-1, _LONG),
    "segment.bytes": (14, _INT),
    "segment.index.bytes": (4, _INT),
    "segment.jitter.ms": (0, _LONG),
    "segment.ms": (1, _LONG),
}
"""Whole numbers: the least and the most."""

CHOICES = {
    "compression.gzip.level": ("-1", *map(str, range(1, 10))),
    "compression.type": ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
    "message.timestamp.type": ("CreateTime", "LogAppendTime"),
}

TRUTHS = (
    "message.downconversion.enable",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "unclean.leader.election.enable",
)

POLICY, RATIO = "cleanup.policy", "min.cleanable.dirty.ratio"

LEFT_TO_BROKER = (
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "message.format.version",
)

NAMES = tuple(sorted((*WHOLE, *CHOICES, *TRUTHS, POLICY, RATIO, *LEFT_TO_BROKER)))

_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def refusal(name: str, value: str) -> str:
    """What a setting must be, where this value is not; empty where Kafka takes it."""
    found = value.strip()
    wanted = _wanted(name, found)
    return f"must be {wanted}; found {value!r}" if wanted else ""


def _wanted(name: str, value: str) -> str:
    if name in WHOLE:
        least, most = WHOLE[name]
        fits = bool(_NUMBER.fullmatch(value)) and least <= int(value) <= most
        wanted = f"a whole number from {least} {'on' if most in {_INT, _LONG} else f'to {most}'}"
    elif name in CHOICES:
        fits, wanted = value in CHOICES[name], f"one of {', '.join(CHOICES[name])}"
    elif name in TRUTHS:
        fits, wanted = value.lower() in {"true", "false"}, "true or false"
    elif name == POLICY:
        fits = {part.strip() for part in value.split(",")} <= {"compact", "delete"}
        wanted = "compact, delete, or both with a comma between"
    elif name == RATIO:
        fits, wanted = bool(_DECIMAL.fullmatch(value)) and 0 <= float(value) <= 1, "a number from 0 to 1"
    else:
        fits, wanted = True, ""
    return "" if fits else wanted

"""The table of contents: what envctl can bring up, and how it can hurt it.

To add a service: its package, its compose file, a line here. To add a fault: its file, a line here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from envctl.faults.clock_skew import ClockSkew
from envctl.faults.cpu_starve import CpuStarve
from envctl.faults.crash_loop import CrashLoop
from envctl.faults.disk_full import DiskFull
from envctl.faults.exhaust_descriptors import ExhaustDescriptors
from envctl.faults.kill import Kill
from envctl.faults.kill_mid_transaction import KillMidTransaction
from envctl.faults.memory_pressure import MemoryPressure
from envctl.faults.network.black_hole import BlackHole
from envctl.faults.network.break_dns import BreakDns
from envctl.faults.network.corrupt import Corrupt
from envctl.faults.network.cut import Cut
from envctl.faults.network.duplicate import Duplicate
from envctl.faults.network.half_open import HalfOpen
from envctl.faults.network.latency import Latency
from envctl.faults.network.loss import Loss
from envctl.faults.network.partition import Partition
from envctl.faults.network.refuse import Refuse
from envctl.faults.network.reorder import Reorder
from envctl.faults.network.slow_close import SlowClose
from envctl.faults.network.throttle import Throttle
from envctl.faults.oom_kill import OomKill
from envctl.faults.pause import Pause
from envctl.faults.power_loss import PowerLoss
from envctl.faults.read_only_disk import ReadOnlyDisk
from envctl.faults.restart import Restart
from envctl.faults.revoke_credentials import RevokeCredentials
from envctl.faults.slow_disk import SlowDisk
from envctl.faults.stop import Stop
from envctl.faults.ways.block_server import BlockServer
from envctl.faults.ways.cut_output_buffers import CutOutputBuffers
from envctl.faults.ways.deadlock import Deadlock
from envctl.faults.ways.evict import Evict
from envctl.faults.ways.executor_oom import ExecutorOom
from envctl.faults.ways.exhaust_connections import ExhaustConnections
from envctl.faults.ways.expire_session import ExpireSession
from envctl.faults.ways.fail_requests import FailRequests
from envctl.faults.ways.fail_tasks import FailTasks
from envctl.faults.ways.hold_vacuum import HoldVacuum
from envctl.faults.ways.interrupt_job import InterruptJob
from envctl.faults.ways.loading import Loading
from envctl.faults.ways.lock import Lock
from envctl.faults.ways.lose_coordinator import LoseCoordinator
from envctl.faults.ways.lose_leader import LoseLeader
from envctl.faults.ways.lose_session import LoseSession
from envctl.faults.ways.out_of_memory import OutOfMemory
from envctl.faults.ways.poison_record import PoisonRecord
from envctl.faults.ways.read_only import ReadOnly
from envctl.faults.ways.rebalance import Rebalance
from envctl.faults.ways.reject_produce import RejectProduce
from envctl.faults.ways.serialization_failures import SerializationFailures
from envctl.faults.ways.slow_commands import SlowCommands
from envctl.faults.ways.truncate_log import TruncateLog
from envctl.services.kafka import Kafka
from envctl.services.minio import Minio
from envctl.services.postgres import Postgres
from envctl.services.redis import Redis
from envctl.services.spark_connect import SparkConnect
from envctl.services.zookeeper import ZooKeeper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.faults.fault import Fault
    from envctl.protocols import Service

SERVICES: Mapping[str, Service] = MappingProxyType(
    {service.name: service for service in (Postgres(), Redis(), ZooKeeper(), Kafka(), Minio(), SparkConnect())}
)

PROFILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "core": ("postgres", "redis"),
        "streaming": ("zookeeper", "kafka"),
        "lake": ("minio", "spark-connect"),
        "full": ("postgres", "redis", "zookeeper", "kafka", "minio", "spark-connect"),
    }
)
"""The profiles of compose/services/*.yaml, which are the truth; a contract test holds them together."""

FAULTS: Mapping[str, type[Fault]] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            KillMidTransaction,
            RevokeCredentials,
            Kill,
            Stop,
            Restart,
            Pause,
            CrashLoop,
            OomKill,
            CpuStarve,
            MemoryPressure,
            ExhaustDescriptors,
            DiskFull,
            SlowDisk,
            ReadOnlyDisk,
            PowerLoss,
            ClockSkew,
            FailRequests,
            Throttle,
            Latency,
            Loss,
            Duplicate,
            Corrupt,
            Reorder,
            Partition,
            Refuse,
            BlackHole,
            Cut,
            HalfOpen,
            SlowClose,
            BreakDns,
            SlowCommands,
            Lock,
            Deadlock,
            SerializationFailures,
            HoldVacuum,
            RejectProduce,
            ExpireSession,
            Rebalance,
            LoseCoordinator,
            PoisonRecord,
            TruncateLog,
            LoseLeader,
            OutOfMemory,
            ReadOnly,
            CutOutputBuffers,
            ExhaustConnections,
            InterruptJob,
            FailTasks,
            ExecutorOom,
            LoseSession,
            Evict,
            Loading,
            BlockServer,
        )
    }
)

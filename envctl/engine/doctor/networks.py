"""The check of address pools: how many environments, a network each, still fit."""

from __future__ import annotations

import ipaddress
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.engine.doctor.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from envctl.engine.doctor.site import Site

Network = ipaddress.IPv4Network

DEFAULT_POOLS = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
"""Base and size of each pool where the daemon configures none: moby, libnetwork/ipamutils/utils.go. 31 subnets."""

COUNT_LIMIT = 256
"""Enough is enough: a pool of 10.0.0.0/8 in /24 holds 65536."""

FEW = 8
"""Environments that the project promises to run side by side (DESIGN §1)."""


def networks(site: Site) -> list[Finding]:
    """Free subnets among the daemon's pools: minus its networks, minus the routes of its machine."""
    if site.engine is None or site.engine.podman:
        return []
    taken = used_subnets(site.engine.api.networks())
    if site.engine.same_machine:
        taken += routes(Path("/proc/net/route").read_text())
    pools = configured_pools(site.engine.info)
    count = sum(1 for _ in itertools.islice(free_subnets(pools, taken), COUNT_LIMIT))
    more = " or more" if count == COUNT_LIMIT else ""
    found = f"{count}{more} free subnets"
    data: dict[str, object] = {"free": count, "pools": [f"{base} by /{size}" for base, size in pools]}
    meaning = f"room for {count}{more} environments, one network each"
    if count >= FEW:
        return [Finding("networks", Level.OK, found, meaning, data=data)]
    advice = "`envctl ls` and `envctl down`, remove unused networks, or set `default-address-pools` in daemon.json"
    return [Finding("networks", Level.WARN if count else Level.FAIL, found, meaning, advice, data)]


def configured_pools(info: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The daemon's IPv4 pools as (base, size)."""
    configured = [(str(pool["Base"]), int(pool["Size"])) for pool in info.get("DefaultAddressPools") or ()]
    return [pool for pool in configured if ":" not in pool[0]] or list(DEFAULT_POOLS)


def used_subnets(found: Iterable[Mapping[str, Any]]) -> list[Network]:
    """The IPv4 subnets of the engine's networks."""
    configs = [config for network in found for config in (network.get("IPAM") or {}).get("Config") or ()]
    subnets = [str(config.get("Subnet") or "") for config in configs]
    return [ipaddress.IPv4Network(subnet, strict=False) for subnet in subnets if subnet and ":" not in subnet]


def routes(table: str) -> list[Network]:
    """The destinations in `/proc/net/route`, which the daemon does not hand out either; not the default route."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((address, mask.bit_count())))
    return found


def free_subnets(pools: Sequence[tuple[str, int]], taken: Sequence[Network]) -> Iterator[Network]:
    """Every subnet of the pools that overlaps nothing taken."""
    for base, size in pools:
        for subnet in ipaddress.IPv4Network(base, strict=False).subnets(new_prefix=size):
            if not any(subnet.overlaps(other) for other in taken):
                yield subnet

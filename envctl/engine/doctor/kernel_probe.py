"""What the kernel can do for faults, tried out in the network namespace that this program was started in.

It is run by `kernel.py` in a scratch namespace, by the host's Python or by the one in `envctl/tools`, so it imports
nothing but the standard library's smallest part. Prints one JSON object: name → [able, what the system said];
able is null when the tool to try it with is missing.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = tuple[bool | None, str]

COMMANDS = {
    "netem": ["tc qdisc replace dev lo root netem delay 1ms"],
    "tbf": ["tc qdisc replace dev lo root tbf rate 1mbit burst 16kb latency 50ms"],
    "htb": [
        "tc qdisc replace dev lo root handle 1: htb default 1",
        "tc class add dev lo parent 1: classid 1:1 htb rate 1mbit",
    ],
    "u32": ["tc filter add dev lo parent 1: protocol ip u32 match ip dport 1 0xffff flowid 1:1"],
    "ifb": [
        "ip link add ifbprobe type ifb",
        "tc qdisc replace dev lo ingress",
        "tc filter add dev lo parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev ifbprobe",
    ],
    "iptables": [
        "iptables -N PROBE",
        "iptables -A PROBE -p tcp --dport 1 -m statistic --mode random --probability 0.5 -j DROP",
    ],
    "nft": [
        "nft add table inet probe",
        "nft add chain inet probe input { type filter hook input priority 0 ; }",
        "nft add rule inet probe input tcp dport 1 drop",
    ],
    "nfqueue": ["iptables -A INPUT -p tcp --dport 1 -j NFQUEUE --queue-num 1 --queue-bypass"],
}

# linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_queue.h
NETLINK_NETFILTER = 12
NLMSG_ERROR = 2
REQUEST_WITH_ACK = 5
QUEUE_CONFIG = (3 << 8) | 2
CONFIG_COMMAND = 1
BIND = 1


def command(line: str) -> Verdict:
    """Run one command; what it says where it fails."""
    try:
        answer = subprocess.run(line.split(), capture_output=True, text=True, timeout=5, check=False)
    except FileNotFoundError:
        return None, f"no {line.split(maxsplit=1)[0]} here"
    said = (answer.stderr.strip() or answer.stdout.strip()).partition("\n")[0].removeprefix("Error: ")
    return answer.returncode == 0, said


def commands(lines: list[str]) -> Verdict:
    """Run commands until one fails."""
    for line in lines:
        able, said = command(line)
        if not able:
            return able, said
    return True, "created"


def bind_queue(number: int) -> Verdict:
    """Bind a netfilter queue, as a program that delays packets does; the rule alone proves only the target."""
    attribute = struct.pack("=HHBBH", 8, CONFIG_COMMAND, BIND, 0, 0)
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, socket.htons(number)) + attribute
    header = struct.pack("=IHHII", 16 + len(body), QUEUE_CONFIG, REQUEST_WITH_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        netlink.settimeout(2)
        netlink.sendto(header + body, (0, 0))
        kind, code = struct.unpack_from("=4xH10xi", netlink.recv(4096))
    return (True, "bound") if (kind, code) == (NLMSG_ERROR, 0) else (False, f"the kernel refused the queue: {code}")


def kill_socket() -> Verdict:
    """Have `ss -K` cut a live connection: where the kernel cannot, ss says nothing and exits 0."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 2) as client, server.accept()[0]:
            able, said = command(f"ss -K dst 127.0.0.1 dport = :{port}")
            if not able:
                return able, said
            client.settimeout(0.2)
            try:
                client.recv(1)
            except TimeoutError:
                return False, "the connection survived"
            except ConnectionError as error:
                return True, f"cut: {error.strerror}"
    return False, "the connection ended without an error"


def probe() -> dict[str, Verdict]:
    """All of it, in this namespace."""
    command("ip link set lo up")
    found = {name: commands(lines) for name, lines in COMMANDS.items()}
    if found["nfqueue"][0]:
        found["nfqueue"] = guarded(lambda: bind_queue(1))
    # Last, and without the shaping that was put on lo, which would only slow it down.
    command("tc qdisc del dev lo root")
    command("tc qdisc del dev lo ingress")
    return {**found, "ss-kill": guarded(kill_socket)}


def guarded(attempt: Callable[[], Verdict]) -> Verdict:
    """A refusal of the system is an answer."""
    try:
        return attempt()
    except OSError as error:
        return False, str(error)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe()))

"""A target with queues in its network, a peer that talks with it, and a surgeon that runs `envctl-packets` there."""

from __future__ import annotations

import itertools
import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from envctl.model import ENVIRONMENT_LABEL
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker
    from docker.models.containers import Container

PATIENCE = 120.0
TOOLS = "envctl/tools:1"
QUEUES = {"in": 7301, "out": 7302, "both": 7303, "before": 7304}
"""Which packets each gets; `before` has those of `out`, earlier on their way."""
_RULES = [
    f"-t {table} -A {hook} {edge} eth0 -j NFQUEUE --queue-num {QUEUES[name]} --queue-bypass"
    for table, hook, edge, name in [
        ("raw", "PREROUTING", "-i", "both"),
        ("raw", "OUTPUT", "-o", "both"),
        ("mangle", "OUTPUT", "-o", "before"),
        ("mangle", "PREROUTING", "-i", "in"),
        ("mangle", "POSTROUTING", "-o", "out"),
    ]
]
SIX = {"target": "fd99::2", "peer": "fd99::3"}

_SERVER = """
import socket, threading
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # as much as may be had
datagrams.bind(("::", 7000))
def echo():
    while True:
        data, sender = datagrams.recvfrom(65536)
        datagrams.sendto(data, sender)
def serve(one):
    act, size = one.recv(1, socket.MSG_WAITALL), int(one.recv(9, socket.MSG_WAITALL))
    if act == b"e":
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := one.recv(65536):
            one.sendall(data)
    elif act == b"g":
        one.sendall(bytes(size))
    else:
        while size > 0:
            size -= len(one.recv(min(size, 65536)))
        one.sendall(b"k")
    one.close()
threading.Thread(target=echo, daemon=True).start()
listener = socket.create_server(("::", 7001), family=socket.AF_INET6, backlog=20, dualstack_ipv6=True)
while True:
    one, _ = listener.accept()
    threading.Thread(target=serve, args=(one,), daemon=True).start()
"""
_DATAGRAMS = """
import json, select, socket, sys, time
host, count, every, wait, enough = json.loads(sys.argv[1])
one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
one.connect((host, 7000))
one.setblocking(False)
body, came, sent, begin = bytes(range(256)), [], [], time.monotonic()
end = begin + count * every + wait
while ((now := time.monotonic()) < end or len(sent) < count) and len(came) < enough:
    while len(sent) < count and now >= begin + len(sent) * every:
        sent.append(time.monotonic())
        one.send((len(sent) - 1).to_bytes(4, "big") + body)
    select.select([one], [], [], max(0, min(begin + len(sent) * every if len(sent) < count else end, end) - now))
    try:
        while True:
            data = one.recv(65536)
            number = int.from_bytes(data[:4], "big")
            if number < len(sent):
                came.append([number, (time.monotonic() - sent[number]) * 1000, data[4:] == body])
            else:
                came.append([number, 0, False])
            end = max(end, time.monotonic() + wait)
    except BlockingIOError:
        pass
print(json.dumps(came))
"""
_STREAM = """
import json, socket, sys, time
host, act, size, times = json.loads(sys.argv[1])
one = socket.create_connection((host, 7001), 100)
one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
one.sendall(act.encode() + b"%09d" % size)
def take(size):
    data = b""
    while len(data) < size and (more := one.recv(min(65536, size - len(data)))):
        data += more
    return data
found = []
for number in range(times):
    begin, sound = time.monotonic(), True
    if act == "g":
        take(size)
    elif act == "p":
        one.sendall(bytes(size))
        take(1)
    else:
        text = bytes(number + i & 255 for i in range(size))
        one.sendall(text)
        sound = take(size) == text
    found.append([(time.monotonic() - begin) * 1000, sound])
one.shutdown(socket.SHUT_WR)
while one.recv(65536):
    pass  # until the other end has closed: nothing of this connection is on its way afterwards
print(json.dumps(found))
"""


class Run:
    """One run of the tool."""

    def __init__(self, lab: Lab, ledger: str) -> None:
        self._lab, self.ledger = lab, ledger

    def said(self) -> dict[str, Any]:
        """Its ledger: up to some moments ago while it runs, all of it afterwards."""
        found: dict[str, Any] = json.loads(_read(self._lab.surgeon, self.ledger))
        return found

    def signal(self, name: str) -> None:
        """Send it a signal."""
        self._lab.operate("bash", "-c", self._each(f"kill -{name}"))

    def _each(self, command: str) -> str:
        # By their short name first: another's command line may take as long to read as its memory is being reclaimed.
        find = "for p in $(grep -ls '^envctl-packets$' /proc/[0-9]*/comm); do p=${p%/comm}; "
        mine = f"grep -qsa '^envctl-packets.{self.ledger}\\b' $p/cmdline && {command} ${{p#/proc/}}"
        return f"{find}{mine}; done; true"

    def when(self, pattern: str, name: str) -> None:
        """Send it a signal as soon as its ledger has this."""
        watch = f"until grep -q '{pattern}' {self.ledger}; do read -t 0.01 <> <(:); done; "
        self._lab.leave("bash", "-c", watch + self._each(f"kill -{name}"))

    def runs(self) -> bool:
        """Whether there is a process of it."""
        # What says nothing at all has lost its words (see `_read`): to be asked again.
        return self._lab.operate("bash", "-c", self._each("echo runs") + "; echo .") != ".\n"

    def await_end(self) -> None:
        """Wait until it has ended."""

        def ended() -> None:
            if self.runs():
                raise NotReady("it runs")

        until(ended, PATIENCE, "the end of envctl-packets")


class Lab:
    """Three containers. Times are milliseconds."""

    def __init__(self, target: Container, peer: Container, surgeon: Container) -> None:
        self.target, self._peer, self.surgeon = target, peer, surgeon
        self.pid = _reloaded(target).attrs["State"]["Pid"]
        (network,) = target.attrs["NetworkSettings"]["Networks"].values()
        self.address = network["IPAddress"]
        self._ledgers = (f"/run/packets-{number}" for number in itertools.count())
        self._pids = [self.pid, _reloaded(peer).attrs["State"]["Pid"]]
        for pid, address in zip(self._pids, SIX.values(), strict=True):
            self.operate("nsenter", f"--net=/proc/{pid}/ns/net", *f"ip addr add {address}/64 dev eth0 nodad".split())
        for tool, rule in itertools.product(("iptables", "ip6tables"), _RULES):
            # Not what IPv6 has to say of itself.
            self.inside(tool, *rule.replace("-j", "-p udp -j" if tool == "ip6tables" else "-j").split())

    def operate(self, *command: str) -> str:
        """Run a command in the surgeon; what it said."""
        return _run(self.surgeon, *command)

    def leave(self, *command: str) -> None:
        """Run it there and leave it to itself."""
        self.surgeon.exec_run(list(command), detach=True)

    def inside(self, *command: str) -> str:
        """Run it in the target's network."""
        return self.operate("nsenter", f"--net=/proc/{self.pid}/ns/net", *command)

    @contextmanager
    def run(self, queue: str, *settings: str, seconds: int = 100, pid: int = 0) -> Iterator[Run]:
        """The tool, once it is at work; ended afterwards."""
        run = self.start(queue, *settings, seconds=seconds, pid=pid)
        try:
            assert run.said()["attached"] == 1, run.said()
            yield run
        finally:
            run.signal("TERM")
            run.await_end()

    def start(self, queue: str, *settings: str, seconds: int = 100, pid: int = 0) -> Run:
        """The tool, once it has said something."""
        run = Run(self, next(self._ledgers))
        # Connections that others have left behind send again what was lost.
        self.operate("bash", "-c", "; ".join(f"nsenter --net=/proc/{one}/ns/net ss -K -t" for one in self._pids))
        words = ["envctl-packets", run.ledger, str(seconds), str(pid or self.pid), str(QUEUES[queue]), *settings]
        self.leave("nsenter", f"--net=/proc/{self.pid}/ns/net", *words)
        until(lambda: _spoken(run, self), PATIENCE, "the ledger")
        return run

    def datagrams(
        self, count: int, *, every: float = 1.0, wait: float = 600.0, enough: int = 0, host: str = ""
    ) -> list[tuple[int, float, bool]]:
        """Send some, one `every`, which the target sends back: number, round trip and soundness of each that came, in
        the order in which they came, until there were `enough` (else all), or none came for `wait` after the last one.
        """
        told = [host or self.address, count, every / 1000, wait / 1000, enough or count]
        return [(number, ms, sound) for number, ms, sound in self._ask(_DATAGRAMS, told)]

    def stream(self, act: str, size: int, times: int = 1) -> list[tuple[float, bool]]:
        """One connection: `g`et or `p`ut so many bytes, or have them `e`choed, some times; time and soundness."""
        return [(ms, sound) for ms, sound in self._ask(_STREAM, [self.address, act, size, times])]

    def checksum_errors(self, who: str) -> int:
        """UDP packets that the target or the peer has found broken."""
        names, values = (
            line.split()
            for line in _read(self.target if who == "target" else self._peer, "/proc/net/snmp").splitlines()
            if line.startswith("Udp:")
        )
        return int(values[names.index("InCsumErrors")])

    def _ask(self, program: str, told: list[object]) -> Any:  # noqa: ANN401 - its JSON
        _run(self._peer, "bash", "-c", 'python3 -c "$0" "$1" > /run/answer', program, json.dumps(told))
        return json.loads(_read(self._peer, "/run/answer"))


@contextmanager
def lab(engine: docker.DockerClient) -> Iterator[Lab]:
    """Three containers in a network of their own, gone afterwards."""
    name = f"packets-{secrets.token_hex(4)}"
    labels, made = {ENVIRONMENT_LABEL: name}, []
    network = engine.networks.create(name, labels=labels)
    try:
        own = {"sysctls": {"net.ipv6.conf.all.disable_ipv6": "0"}, "network": name}
        surgeon = {
            "pid_mode": "host",
            "network_mode": "none",
            "cap_add": ["SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN"],
            "security_opt": ["apparmor=unconfined", "seccomp=unconfined"],
        }
        for command, options in (
            (["python3", "-c", _SERVER], own),
            (["sleep", "inf"], own),
            (["sleep", "inf"], surgeon),
        ):
            made.append(engine.containers.run(TOOLS, command, detach=True, init=True, labels=labels, **options))
        yield Lab(*made)
    finally:
        for one in made:
            one.remove(force=True)
        network.remove()


def _spoken(run: Run, lab: Lab) -> None:
    if not lab.operate("bash", "-c", f"cat {run.ledger} 2>&-; true").strip():
        raise NotReady("it has said nothing")


def _reloaded(container: Container) -> Container:
    container.reload()
    return container


def _read(container: Container, path: str) -> str:
    """Once in many hundreds a busy engine (20.10) loses all that a command said."""
    return _run(container, "cat", path) or _run(container, "cat", path)


def _run(container: Container, *command: str) -> str:
    done = container.exec_run(list(command))
    text = str(done.output.decode())
    assert done.exit_code == 0, f"{command}: {text}"
    return text

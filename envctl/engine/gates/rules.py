"""Rules of iptables' table `filter` that lead packets into a queue, each with the gate's name as its comment."""

from __future__ import annotations

import subprocess

from envctl.engine.gates import standing


def _iptables(*arguments: str) -> bool:
    """Whether it could be done."""
    return subprocess.run(["iptables", "-w", *arguments], capture_output=True, check=False).returncode == 0


def _listed() -> list[str]:
    return subprocess.run(["iptables", "-w", "-S"], capture_output=True, text=True, check=False).stdout.splitlines()


def has_table() -> bool:
    """Whether somebody has made the table already."""
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return "table ip filter\n" in done.stdout


def lead(name: str, chain: str, condition: list[str], queue: int) -> None:
    """Lead what fits through a queue; where nobody serves that, it passes.

    Raises:
        OSError: this kernel cannot.

    """
    target = ["-j", "NFQUEUE", "--queue-num", str(queue), "--queue-bypass"]
    if not _iptables("-I", chain, *condition, "-m", "comment", "--comment", name, *target):
        raise OSError("iptables refuses a rule with NFQUEUE")


def named(name: str) -> list[list[str]]:
    """The rules with that name, each as its chain and what follows."""
    return [
        [word.strip('"') for word in line.split()[1:]]
        for line in _listed()
        if line.startswith("-A ") and name in line.replace('"', "").split()
    ]


def remove(name: str) -> None:
    """Take them away, and the table where iptables made it for them (as the gate noted: `table`) and nobody else has
    put anything into it; idempotent.
    """
    for chain, *rule in named(name):
        _iptables("-D", chain, *rule)
    noted = standing.facts(name)
    if noted and not noted["table"] and all(line.startswith("-P ") for line in _listed()):
        subprocess.run(["nft", "delete", "table", "ip", "filter"], capture_output=True, check=False)

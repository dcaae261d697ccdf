"""Running a program inside a Java process of another container, by Java's own attach protocol.

The program is compiled by that very Java against that process's own libraries, once in a surgeon's life. What stays in
the process is the class, its jar's descriptor, and Java's own listener with its socket; no file of ours does.
"""

from __future__ import annotations

import glob
import os
import socket
import subprocess
import time
from contextlib import suppress

from envctl.engine.operations import cgroups, processes

_PATIENCE = 20.0
"""Seconds in which Java begins to listen, and then answers."""

_QUICK = ("-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m")


def ask(pid: int, agent: str, sources: dict[str, str], libraries: list[str], request: str) -> str:
    """Have the class `agent`, one of `sources`, answer a request inside the Java of the container of `pid`.

    `libraries` are patterns of jars in that container. `request` is `key=value&…`; so is the answer, which is text.
    """
    java = _java(pid)
    root = f"/proc/{java}/root"
    jar, answer = f"/tmp/.{agent}.jar", f"/tmp/.{agent}-{os.urandom(4).hex()}"  # noqa: S108 - Java looks there too
    built = _built(java, agent, sources, libraries)
    try:
        _place(root + answer, b"", java)
        _place(root + jar, built, java)
        _load(java, f"{jar}={request}&answer={answer}")
        with open(root + answer) as stream:  # noqa: PTH123
            said = stream.read()
    finally:
        _remove(java, jar)
        _remove(java, answer)
    if not said:
        raise OSError("Java loaded the agent, which said nothing")
    return said


def place(pid: int, path: str) -> None:
    """An empty file in the container, which its Java may read."""
    java = _java(pid)
    _place(f"/proc/{java}/root{path}", b"", java)


def lengthen(pid: int, path: str) -> None:
    """Make that file longer, and remove it: who has it open sees that still."""
    with suppress(FileNotFoundError), open(f"/proc/{pid}/root{path}", "r+b") as stream:  # noqa: PTH123
        stream.write(b"1")
    _remove(pid, path)


def _remove(pid: int, path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(f"/proc/{pid}/root{path}")  # noqa: PTH108


def _java(pid: int) -> int:
    for one in cgroups.members(cgroups.find(pid, "memory")["folder"]):
        with suppress(*processes.GONE):
            if os.path.basename(os.readlink(f"/proc/{one}/exe")) == "java":  # noqa: PTH115, PTH119
                return one
    raise ProcessLookupError("no Java runs in its container yet")


def _place(path: str, content: bytes, java: int) -> None:
    """A file of the process's own user, in one step: two may do the same at once."""
    made = f"{path}-{os.urandom(4).hex()}"
    with open(made, "xb") as stream:  # noqa: PTH123
        stream.write(content)
        user, group = (int(processes.status(java, field).split()[1]) for field in ("Uid", "Gid"))
        os.fchown(stream.fileno(), user, group)
    os.replace(made, path)  # noqa: PTH105


def _built(java: int, agent: str, sources: dict[str, str], libraries: list[str]) -> bytes:
    kept = f"/run/{agent}.jar"
    if not os.path.exists(kept):  # noqa: PTH110
        built = _build(java, agent, sources, libraries)
        made = f"{kept}-{os.getpid()}"
        with open(made, "wb") as stream:  # noqa: PTH123
            stream.write(built)
        os.replace(made, kept)  # noqa: PTH105
    with open(kept, "rb") as stream:  # noqa: PTH123
        return stream.read()


def _build(java: int, agent: str, sources: dict[str, str], libraries: list[str]) -> bytes:
    """Compile with the process's own Java, in its file system but not in its memory limit."""
    root, folder = f"/proc/{java}/root", f"/tmp/.{agent}-{os.urandom(4).hex()}"  # noqa: S108
    os.mkdir(root + folder)  # noqa: PTH102
    try:
        texts = {f"{name}.java": text for name, text in sources.items()} | {"manifest": f"Agent-Class: {agent}\n"}
        for name, text in texts.items():
            with open(f"{root}{folder}/{name}", "w") as stream:  # noqa: PTH123
                stream.write(text)
        jars = [found.removeprefix(root) for one in libraries for found in sorted(glob.glob(root + one))]  # noqa: PTH207
        compiler = ["jdk.compiler/com.sun.tools.javac.Main", "-proc:none", "-nowarn", "-cp", ":".join(jars)]
        _run(java, *compiler, "-d", f"{folder}/out", *(f"{folder}/{name}.java" for name in sources))
        jar = ["jdk.jartool/sun.tools.jar.Main", "--create", "--file", f"{folder}/jar", "--manifest"]
        _run(java, *jar, f"{folder}/manifest", "-C", f"{folder}/out", ".")
        with open(f"{root}{folder}/jar", "rb") as stream:  # noqa: PTH123
            return stream.read()
    finally:
        subprocess.run(["rm", "-rf", root + folder], check=False)


def _run(java: int, module: str, *arguments: str) -> None:
    program = os.readlink(f"/proc/{java}/exe")  # noqa: PTH115
    command = ["nsenter", f"--target={java}", "--mount", "--pid", program, *_QUICK, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise OSError(f"its Java did not compile the agent: {said[0] if said else done.returncode}")


def _load(java: int, options: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(_PATIENCE)
        listener.connect(_listening(java))
        listener.sendall(b"\0".join([b"1", b"load", b"instrument", b"false", options.encode(), b""]))
        said = b""
        while more := listener.recv(4096):
            said += more
    if said.split()[:1] != [b"0"]:
        raise OSError(f"its Java did not load the agent: {said.decode(errors='replace').strip()}")


def _listening(java: int) -> str:
    """Java's socket; it is opened when somebody asks for that by a file and a SIGQUIT."""
    number = processes.status(java, "NSpid").split()[-1]
    path, wish = f"/proc/{java}/root/tmp/.java_pid{number}", f"/proc/{java}/cwd/.attach_pid{number}"
    if os.path.exists(path):  # noqa: PTH110
        return path
    try:
        _place(wish, b"", java)
        processes.send(java, processes.started(java), "QUIT")
        over = time.monotonic() + _PATIENCE
        while not os.path.exists(path):  # noqa: PTH110
            if time.monotonic() > over:
                raise OSError("its Java lets nobody attach (-XX:+DisableAttachMechanism?), or does nothing now")
            time.sleep(0.02)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(wish)  # noqa: PTH108
    return path

"""Containers whose power can fail: their data lies on disks of their own meanwhile (see `operations.power`).

To have it there a container is started anew, and once more to have it where it was. The disks are files in the folders
of the volumes, beside the data, and are mounted nowhere but in the container: they go with the volumes.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from envctl.errors import EngineError, FaultUnfit
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from envctl.engine.hands import Hands

JSON = dict[str, Any]

_GRACE = 60.0
"""Seconds for an orderly end, of a service that writes all that it has to its disk first."""


class Power:
    """That of one container. What the methods get is what `look` gave, in any process."""

    def __init__(self, hands: Hands, environment: str, container: str) -> None:
        self._hands, self._environment, self._container = hands, environment, container

    def look(self, directory: str) -> JSON:
        """Where the data in a directory of the container's lies; a small disk is tried, else nothing is changed.

        Raises:
            FaultUnfit: not in volumes of the engine's own; or there can be no such disks.

        """
        seen = self._hands.inspect(self._container)
        token, kinds, disks = secrets.token_hex(5), set(), list[JSON]()
        for mount in seen["Mounts"]:
            place, wanted = PurePosixPath(mount["Destination"]), PurePosixPath(directory)
            if not place.is_relative_to(wanted) and not wanted.is_relative_to(place):
                continue
            kinds.add(mount["Type"] if mount["Type"] != "volume" else f"volume of the driver {mount['Driver']}")
            name = f"{token}{len(disks)}"
            image = PurePosixPath(mount["Source"]).parent / f"envctl-{name}.img"
            words = {"volume": mount["Source"], "image": str(image), "token": name}
            disks.append({"directory": mount["Destination"], **words})
        if kinds != {"volume of the driver local"}:
            found = f"{directory} is in {' and '.join(sorted(kinds)) or 'the container itself'}"
            raise FaultUnfit("volumes of the engine's own, whose place disks can take", found, "use kill")
        try:
            for disk in disks:
                self._mend("probe", disk, "volume", "image")
        except NotReady as reason:
            raise FaultUnfit(
                "a disk whose power can fail, made by the engine's machine", str(reason), "use kill"
            ) from reason
        return {"disks": disks, "policy": seen["HostConfig"]["RestartPolicy"]}

    def move_in(self, seen: JSON) -> None:
        """Start it anew on the disks."""
        # Who starts it but us starts it without them.
        self._hands.set_restart_policy(self._container, {"Name": "no"})
        self._hands.stop(self._container, _GRACE)
        for disk in seen["disks"]:
            self._mend("make", disk, "volume", "image")
        self.switch_on(seen)

    def switch_on(self, seen: JSON) -> JSON:
        """Start it on the disks; once their power has failed, whether what was `forced` to them is there, and what was
        not is `forgotten`.
        """
        found: JSON = {}
        try:
            for disk in seen["disks"]:
                found = self._mend("insert", disk, "volume", "image", "token")
            self._hands.start(self._container)
        finally:
            for disk in seen["disks"]:
                self._mend("release", disk, "volume", "token")
        return found

    def switch_off(self, seen: JSON) -> None:
        """Let the power fail, of the disks and of all processes."""
        directories = [disk["directory"] for disk in seen["disks"]]
        pid = self._hands.pid(self._container)
        self._hands.mend(self._environment, "power.cut", pid=pid, directories=directories)
        # By hand, too: to the engine it has ended by itself.
        with suppress(NotReady, EngineError):
            self._hands.kill(self._container)

    def has_disks(self, seen: JSON) -> bool:
        """Whether it runs on the disks now."""
        seen_now, directories = self._hands.inspect(self._container), [disk["directory"] for disk in seen["disks"]]
        pid = int(seen_now["State"]["Pid"])
        return bool(pid) and bool(
            self._hands.mend(self._environment, "power.on_disks", pid=pid, directories=directories)
        )

    def move_out(self, seen: JSON) -> JSON:
        """Have its data where it was, and it stopped, unless it is so already: then nothing is done. As `switch_on`,
        what the disks forgot. Idempotent.
        """
        found: JSON = {}
        if any(self.left(seen).values()):
            if self._hands.inspect(self._container)["State"]["Running"]:
                self._hands.stop(self._container, _GRACE)
            for disk in seen["disks"]:
                found = self._mend("put_back", disk, "volume", "image", "token")
        self._hands.set_restart_policy(self._container, seen["policy"])
        return found

    def left(self, seen: JSON) -> JSON:
        """What is left of the disks on the engine's machine, by kind."""
        found: dict[str, list[str]] = {}
        for disk in seen["disks"]:
            for kind, names in self._mend("state", disk, "volume", "image").items():
                found[kind] = [*found.get(kind, []), *names]
        return found

    def _mend(self, verb: str, disk: JSON, *names: str) -> Any:  # noqa: ANN401 - its JSON
        return self._hands.mend(self._environment, f"power.{verb}", **{name: disk[name] for name in names})

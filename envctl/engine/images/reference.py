"""The name of an image, taken apart: `host/path:tag@digest`, as the engine understands it."""

from __future__ import annotations

from dataclasses import dataclass, replace

HUB = "docker.io"
"""The host that a name without one means, and `library/` the folder there that a bare name means."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One image's name. `tag` and `digest` may be empty; without either the engine means the tag `latest`."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The parts of `text`; the first one is a host if it has a dot, a port, or is `localhost` (the engine's rule).

        Raises:
            ValueError: there is no name in it.

        """
        name, _, digest = text.strip().partition("@")
        head, slash, tail = name.partition("/")
        is_host = bool(slash) and ("." in head or ":" in head or head == "localhost")
        host, path = (head, tail) if is_host else (HUB, name)
        path, _, tag = path.partition(":")
        if not path or path != path.lower() or path.endswith("/"):
            raise ValueError(f"{text!r} is no image reference")
        if host == HUB and "/" not in path:
            path = f"library/{path}"
        return cls(host, path, tag, digest)

    @property
    def repository(self) -> str:
        """Name without tag and digest, in the short form in which the engine lists it."""
        if self.host != HUB:
            return f"{self.host}/{self.path}"
        return self.path.removeprefix("library/")

    @property
    def tagged(self) -> str:
        """`repository:tag`, the key of the engine's tag list."""
        return f"{self.repository}:{self.tag or 'latest'}"

    @property
    def pinned(self) -> str:
        """`repository@digest`, the key of the engine's digest list; empty without a digest."""
        return f"{self.repository}@{self.digest}" if self.digest else ""

    def at(self, mirror: str | None) -> Reference:
        """The same image behind a mirror (`localhost:5000`, `mirror.example/hub`), which replaces the host."""
        if not mirror:
            return self
        host, _, folder = mirror.removeprefix("https://").removeprefix("http://").strip("/").partition("/")
        return replace(self, host=host, path=f"{folder}/{self.path}" if folder else self.path)

    def __str__(self) -> str:
        if not self.digest:
            return self.tagged
        return f"{self.repository}:{self.tag}@{self.digest}" if self.tag else self.pinned

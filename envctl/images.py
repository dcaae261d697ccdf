"""The images of one configuration on one engine: the way from settings to `engine.images`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.config import bundle_root
from envctl.engine.images import Workshop, load
from envctl.state import state_root

if TYPE_CHECKING:
    from envctl.config import Settings
    from envctl.engine.docker_engine import DockerEngine


def workshop(settings: Settings, engine: DockerEngine) -> Workshop:
    """Where the images of `compose/images/images.yaml` are found, pulled and built."""
    return Workshop(
        address=engine.address,
        api=engine.api,
        catalogue=load(bundle_root() / "compose" / "images" / "images.yaml"),
        folder=state_root() / "images",
        mirror=settings.registry,
    )

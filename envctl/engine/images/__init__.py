"""Images: present, pulled by digest, or built from package registries; always said which.

`resolve` is what `up` calls; `list_images`, `build_all`, `pull_all` and `prune` are the verbs of `envctl images`.
All take a `Workshop` and say their progress as events:

`image.present` service, image, origin · `image.pulling` image[, bytes, total_bytes] · `image.pulled` image, service,
digest, seconds, bytes · `image.pull_failed` image, service, error, reason, advice · `image.building` image, step,
seconds · `image.built` image, seconds, bytes · `image.waiting` reason · `image.removed` image, id, bytes.
"""

from envctl.engine.images.build import build_all
from envctl.engine.images.catalogue import Catalogue, Image, load
from envctl.engine.images.pull import Wish, pull_all
from envctl.engine.images.reference import Reference
from envctl.engine.images.resolve import resolve
from envctl.engine.images.shelf import ImageRow, Pruned, list_images, prune
from envctl.engine.images.stock import Origin, ResolvedImage, Stock
from envctl.engine.images.workshop import Workshop

__all__ = [
    "Catalogue",
    "Image",
    "ImageRow",
    "Origin",
    "Pruned",
    "Reference",
    "ResolvedImage",
    "Stock",
    "Wish",
    "Workshop",
    "build_all",
    "list_images",
    "load",
    "prune",
    "pull_all",
    "resolve",
]

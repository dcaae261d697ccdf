"""Generated objects: their exact bytes, streamed, and what is to be known of them without asking the store."""

from envctl.seeding.objects.body import Bodies, Entry, compute
from envctl.seeding.objects.defects import Defect
from envctl.seeding.objects.stream import Piece, Stream

__all__ = ["Bodies", "Defect", "Entry", "Piece", "Stream", "compute"]

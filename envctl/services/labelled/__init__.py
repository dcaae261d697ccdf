"""Services of the user's own: ready as their labels say, else by their healthcheck, else when they keep running."""

from envctl.services.labelled.labels import IGNORE_LABEL, ONESHOT_LABEL, PROFILE_LABEL, is_on, label_problems
from envctl.services.labelled.service import Labelled

__all__ = ["IGNORE_LABEL", "ONESHOT_LABEL", "PROFILE_LABEL", "Labelled", "is_on", "label_problems"]

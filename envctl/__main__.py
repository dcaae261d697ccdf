"""The program: the console script `envctl`, and `python -m envctl`."""

from __future__ import annotations

import signal
import sys


def run() -> int:
    """Run this process's command line; returns the exit code.

    Ctrl-C is held back for the 0.1 s that imports take: it is heard, and told, when there is somebody to tell it.
    """
    ending = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    held = ending - signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    from envctl.cli import main

    code = main(held=held)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # All is done and told: whatever Python still tidies up is nothing to show a traceback for.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code


if __name__ == "__main__":
    sys.exit(run())

"""Where a process begins: from here on a signal ends it with its exit code, also while the rest is being imported."""

from __future__ import annotations

import gc
import sys

from fewepochs.train import interrupt


def main() -> None:
    """Run the command line; a signal that comes before there is anything to save leaves nothing behind."""
    try:
        with interrupt.leaving():
            from fewepochs.cli import main as command  # takes its time: after the handlers are in place

            command.main()
    except interrupt.Stopped as stopped:
        sys.exit(stopped.exit_code)
    finally:
        gc.freeze()  # the process ends: no last search for cycles among a hundred thousand records

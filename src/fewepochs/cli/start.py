"""Where a process begins: from here on a signal ends it with its exit code, also while the rest is being imported."""

from __future__ import annotations

import gc
import os
import sys

from fewepochs.train import interrupt


def main() -> None:
    """Run the command line; a signal that comes before there is anything to save leaves nothing behind."""
    _open_streams()
    try:
        with interrupt.leaving():
            from fewepochs.cli import main as command  # takes its time: after the handlers are in place

            command.main()
    except interrupt.Stopped as stopped:
        sys.exit(stopped.exit_code)
    finally:
        gc.freeze()  # the process ends: no last search for cycles among a hundred thousand records


def _open_streams() -> None:
    """Give output that was closed (`>&-`) a place to go: the next file to be opened would get its number, and its text.

    What nobody wants to read is lost; the run is not.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)

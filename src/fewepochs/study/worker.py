"""Where a cell's process begins: `python -m fewepochs.study.worker`, a job on stdin, an ending on stdout.

Whatever else is printed, by an optimizer of the user's own or by a library, goes to the log: stdout would fill up, or
the ending could not be read. The end of stdin means that whoever began the cell is gone, however it went: the cell is
saved and left, as after SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from fewepochs.train import interrupt


def main() -> int:
    """Train the cell on stdin and return its exit code."""
    answer = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # lines in the order in which they were said
    try:
        with interrupt.leaving():
            line = sys.stdin.readline()
            threading.Thread(target=_leave_with_parent, daemon=True).start()
            from fewepochs.study import cell  # takes its time: after the handlers are in place

            ending = cell.train(cell.Job.model_validate_json(line), view=cell.Quiet())
    except interrupt.Stopped as stopped:
        return stopped.exit_code
    with os.fdopen(answer, "w") as file:
        print(ending.model_dump_json(), file=file)
    return ending.exit_code


def _leave_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())

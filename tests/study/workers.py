"""Stand-ins for the process of a cell, each a few lines of Python: begun as `python -c`, a job on stdin."""

from __future__ import annotations

import sys

ENDS_WELL = "print('{\"exit_code\": 0}')"
ENDS_WITH_WORDS = "import sys; print('first', file=sys.stderr); sys.exit('the last word')"
KILLS_ITSELF = "import os; os.kill(os.getpid(), 9)"
SAYS_TOO_MUCH = "import sys; sys.stderr.write('x' * 1_000_000); sys.exit(1)"
WAITS_FOR_TERM = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print('{"exit_code": 143, "message": "saved"}', flush=True), sys.exit(143)))
print('ready', file=sys.stderr, flush=True)
while True: signal.pause()
"""
HEEDS_NOTHING = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', file=sys.stderr, flush=True)
while True: signal.pause()
"""
TELLS_ITS_ENVIRONMENT = """
import os, sys
print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ.get('OMP_NUM_THREADS'), file=sys.stderr)
print('{"exit_code": 0}')
"""
WAITS_FOR_THE_END_OF_STDIN = """
import os, sys
print(os.getpid(), file=sys.stderr, flush=True)
sys.stdin.read()
print('gone with its parent', file=sys.stderr, flush=True)
"""


def command(script: str) -> tuple[str, ...]:
    """Return the command that runs `script`."""
    return (sys.executable, "-c", script)

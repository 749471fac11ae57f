"""A folder belongs to one process at a time: to the one that holds the lock in it.

The lock is flock's: the system gives it back when its owner dies, however it dies. On a network file system it keeps
two hosts apart only if locks are shared there (NFS: not with nolock or local_lock). It is a lock of a file, not of a
name: whoever holds one looks before each writing whether it still is the one that lies in the folder.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fewepochs import disk
from fewepochs.errors import StorageError

FILE = "lock"


@dataclass(frozen=True)
class Held:
    """A folder that this process holds, by the lock that is open as `descriptor`."""

    path: Path
    descriptor: int

    @property
    def is_mine(self) -> bool:
        """Whether the lock still is the one that lies in the folder."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), (self.path / FILE).stat())
        except OSError:
            return False

    def require(self) -> None:
        """Raise StorageError where the folder or its lock was taken away; another process may have begun there."""
        if not self.is_mine:
            raise StorageError(
                f"{self.path}: the folder or its lock was taken away while this process worked there, and may be "
                "another's by now; nothing more was written. Leave the folder alone meanwhile; the same command goes "
                "on with what lies there now"
            )

    def sign(self, name: str) -> None:
        """Write down whose the lock is, for those who ask for it; on a full disk it holds without a name."""
        with suppress(OSError):
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, name.encode(), 0)

    def release(self) -> None:
        """Give the lock back."""
        os.close(self.descriptor)


def take(path: Path, *, what: str) -> Held:
    """Return the folder `path` (made if absent), held. Raises StorageError where another process works on `what`."""
    lock = path / FILE
    for _ in range(10):
        disk.make_folder(path)
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # another process has just taken the empty folder away
            continue
        except OSError as error:
            raise disk.unwritable(lock, error) from None
        held = Held(path, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            held.release()
            raise StorageError(f"{path}: {owner} is working on {what}; wait for it, or stop it") from None
        except OSError as error:  # a file system without locks
            held.release()
            raise disk.unwritable(lock, error) from None
        if held.is_mine:
            held.sign(f"process {os.getpid()} on {socket.gethostname()}\n")
            return held
        held.release()  # between open and flock its owner has taken the file away: nobody else would see this lock
    raise StorageError(f"{lock}: cannot be held: it changes under every attempt")


def is_held(path: Path) -> bool:
    """Return whether a process, here or on another host, holds the folder `path`."""
    try:
        descriptor = os.open(path / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False

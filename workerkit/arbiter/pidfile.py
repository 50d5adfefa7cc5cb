"""The pid file: how scripts find the arbiter.

It is locked for as long as its process lives. So what a killed server left behind hinders nobody, whichever process
has that id by now, and a file in use is known for sure. The lock is fcntl(2)'s, which belongs to one process: a child
that outlives its arbiter holds nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from workerkit.errors import ConfigError


class PidFile:
    """Holds this process's id for as long as it runs."""

    def __init__(self, path: str) -> None:
        # Absolute, because the working folder may change before it is removed.
        self.path = os.path.abspath(path)
        self._fd = -1

    def write(self, predecessor: int | None = None) -> None:
        """Write the file; a file left by a process that is gone is replaced. Does nothing if it is ours.

        Args:
            predecessor: The process whose place we take; its file is replaced though it lives.

        Raises:
            ConfigError: Another living process holds it, or it cannot be written.
        """
        if self._is_ours():
            return
        holder = _living_holder(self.path)
        if holder is not None and holder != predecessor:
            raise ConfigError(
                f"the pid file {self.path} belongs to the running process {holder}; stop it or choose another file"
            )
        temporary = f"{self.path}.{os.getpid()}"
        try:
            fd = _create(temporary)
            os.rename(temporary, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise ConfigError(f"cannot write the pid file {self.path}: {error.strerror}") from error
        self._release()
        self._fd = fd

    def remove(self) -> None:
        """Remove the file, if it is still ours."""
        if self._is_ours():
            # The folder, or what is in the file, may be another's by now.
            with contextlib.suppress(OSError, ValueError):
                with open(self.path, encoding="ascii") as file:
                    pid = int(file.read(32))
                if pid == os.getpid():
                    os.unlink(self.path)
        self._release()

    def forget(self) -> None:
        """Close the descriptor and nothing else: for a child, which inherited it."""
        self._release()

    def _is_ours(self) -> bool:
        # It is not opened to look: closing it again would give up the lock.
        try:
            return self._fd >= 0 and os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _create(path: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, b"%d\n" % os.getpid())
    except BaseException:
        os.close(fd)
        raise
    return fd


def _living_holder(path: str) -> int | None:
    """Return the process that has locked the file; None: nobody has."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return int(file.read(32))
    except (OSError, ValueError):
        # It cannot be read, or says nothing: whether it may be replaced is for rename(2) to say.
        pass
    return None

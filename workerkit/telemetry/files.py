"""Log files: opened to append, so that several processes write whole lines beside each other."""

from __future__ import annotations

import os
import weakref

# Taken unpatched, when the process starts: a line is not to wait for a greenlet's turn.
from os import write
from typing import TextIO

from workerkit.errors import ConfigError


class LogFile:
    """A log, as one process holds it.

    Nothing here waits for a lock. Any thread, greenlet and signal handler writes at any moment, also while another
    one does: a line goes out in one call of the system.

    Args:
        path: The file; "-": the stream.
        stream: Standard output or standard error, or what the application has put in its place.

    Raises:
        ConfigError: The file cannot be opened.
    """

    def __init__(self, path: str, stream: TextIO) -> None:
        self._path = path
        self._stream = stream
        self.fd: int | None
        """The same for as long as this is held; None where the stream has none, as in a test that captures it."""
        if path == "-":
            self.fd = _descriptor(stream)
        else:
            self.fd = fd = _open(path)
            # When nobody holds this log any more, and not when the next one is made: an arbiter that still serves
            # would write to whatever has got the number meanwhile.
            weakref.finalize(self, os.close, fd).atexit = False

    def write(self, text: str) -> None:
        """Append lines.

        Raises:
            OSError: They cannot be written.
        """
        if self.fd is None:
            self._stream.write(text)
            return
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        while rest:
            rest = rest[write(self.fd, rest) :]

    def reopen(self) -> None:
        """Open the file anew, after log rotation.

        Raises:
            ConfigError: It cannot be opened; the old one goes on.
        """
        if self._path != "-" and self.fd is not None:
            fresh = _open(self._path)
            # The number stays: a thread that writes to it meanwhile reaches the old file or the new one, never none.
            os.dup2(fresh, self.fd, inheritable=False)
            os.close(fresh)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"cannot open the log file {path}: {os.strerror(error.errno or 0)}") from error

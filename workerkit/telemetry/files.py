"""Log files: opened to append, so that several processes write whole lines beside each other."""

from __future__ import annotations

import os

from workerkit.errors import ConfigError


def open_log(path: str) -> int:
    """Return a descriptor that appends to a log file.

    Raises:
        ConfigError: It cannot be opened.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"cannot open the log file {path}: {os.strerror(error.errno or 0)}") from error

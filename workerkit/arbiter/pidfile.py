"""The pid file: how scripts find the arbiter."""

from __future__ import annotations

import contextlib
import os

from workerkit.errors import ConfigError


class PidFile:
    """Holds this process's id for as long as it runs."""

    def __init__(self, path: str) -> None:
        # Absolute, because the working folder may change before it is removed.
        self.path = os.path.abspath(path)

    def write(self) -> None:
        """Write the file; a file left by a process that is gone is replaced.

        Raises:
            ConfigError: Another living process holds it, or it cannot be written.
        """
        holder = self._read()
        if holder is not None and holder != os.getpid() and _is_alive(holder):
            raise ConfigError(
                f"the pid file {self.path} belongs to the running process {holder}; stop it or choose another file"
            )
        temporary = f"{self.path}.{os.getpid()}"
        try:
            with open(temporary, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
            os.rename(temporary, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise ConfigError(f"cannot write the pid file {self.path}: {error.strerror}") from error

    def remove(self) -> None:
        """Remove the file, if it is still ours."""
        if self._read() == os.getpid():
            os.unlink(self.path)

    def _read(self) -> int | None:
        try:
            with open(self.path, encoding="ascii") as file:
                return int(file.read(32))
        except (OSError, ValueError):
            return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0

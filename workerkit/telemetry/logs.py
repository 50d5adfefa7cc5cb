"""The error log and the access log of one process.

The error log is the standard library's ``logging`` (loggers ``workerkit.error`` and, below it, whatever a plugin
names), so a deployment can route it as it likes. The access log is one line per request on the request path, so it
is written by hand: lines are gathered and leave in one write when the worker is about to wait.

A log that cannot be written never stops a server: the line is dropped, counted, and the count is reported with the
first line that gets through.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from typing import Any

from workerkit.errors import ConfigError
from workerkit.process.privileges import UNCHANGED, Privileges
from workerkit.telemetry.access import DEFAULT_FORMAT, AccessLog, LineFormat
from workerkit.telemetry.files import LogFile

_LEVELS = ("debug", "info", "warning", "error", "critical")


def _check_level(value: str) -> None:
    if value.lower() not in _LEVELS:
        raise ValueError(f"must be one of {', '.join(_LEVELS)}")


def _check_format(value: str) -> None:
    LineFormat(value)


@dataclass(frozen=True, eq=False, repr=False)
class LogOptions:
    """Logs."""

    accesslog: str | None = field(
        default=None,
        metadata={
            "flags": ("--access-logfile",),
            "metavar": "FILE",
            "help": "Where a line for each request goes; '-' is standard output. None: no access log.",
        },
    )
    access_log_format: str = field(
        default=DEFAULT_FORMAT,
        metadata={
            "flags": ("--access-logformat",),
            "metavar": "FORMAT",
            "check": _check_format,
            "help": "The access log's line, in gunicorn's atoms: %(h)s, %(r)s, %(s)s, %(M)s, %({x-id}i)s ...",
        },
    )
    errorlog: str = field(
        default="-",
        metadata={
            "flags": ("--error-logfile", "--log-file"),
            "metavar": "FILE",
            "help": "Where the server's own log goes; '-' is standard error.",
        },
    )
    loglevel: str = field(
        default="info",
        metadata={
            "flags": ("--log-level",),
            "metavar": "LEVEL",
            "check": _check_level,
            "help": f"The least severe kind of line that is logged: {', '.join(_LEVELS)}.",
        },
    )


class _ErrorHandler(logging.Handler):
    """Writes the server's own log.

    Unlike the library's handlers, it needs no lock. The thread that reports a hub which stands still, or a request
    past its deadline, may be in the midst of a line when the worker is told to say its last words; and where the
    standard library is patched, locks are of a kind that makes greenlets wait, and no thread of the system's.
    """

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file
        self._lost = 0

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a line, if the filters let it pass. Called by the logger."""
        passed: Any = self.filter(record)
        if passed:
            self.emit(record if passed is True else passed)  # since Python 3.12 a filter may return another
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; count it where that fails."""
        try:
            line = self.format(record)
            if self._lost:
                line = f"{line}\n({self._lost} earlier lines could not be written)"
            self._file.write(f"{line}\n")
            self._lost = 0
        except OSError:
            # A full disk: serving goes on. Nothing else could be told to anybody.
            self._lost += 1
        except Exception:  # noqa: BLE001  as in logging: a log call with wrong arguments does not end its caller
            self.handleError(record)


class Logs:
    """Both logs, as one process holds them. Made in the arbiter; a fork inherits the open files.

    Args:
        options: Where they go.
        privileges: Who the workers will be: the files become theirs, so that they can reopen them.

    Raises:
        ConfigError: A file cannot be opened.
    """

    def __init__(self, options: LogOptions, privileges: Privileges = UNCHANGED) -> None:
        self.error = logging.getLogger("workerkit.error")
        self.error.setLevel(options.loglevel.upper())
        self.error.propagate = False
        for old in self.error.handlers[:]:
            self.error.removeHandler(old)
            old.close()
        self._file = LogFile(options.errorlog, sys.stderr)
        handler = _ErrorHandler(self._file)
        handler.setFormatter(
            logging.Formatter("%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "[%Y-%m-%d %H:%M:%S %z]")
        )
        self.error.addHandler(handler)
        self.on_stderr = options.errorlog == "-"
        self.access: AccessLog | None = None
        if options.accesslog is not None:
            self.access = AccessLog(options.accesslog, options.access_log_format)
        self._privileges = privileges
        self._paths = [path for path in (options.errorlog, options.accesslog) if path is not None and path != "-"]
        privileges.own(self._paths)

    def reopen(self) -> None:
        """Open the files anew (USR1); a file that cannot be opened is reported, and the old one goes on."""
        try:
            self._file.reopen()
            if self.access is not None:
                self.access.reopen()
            self._privileges.own(self._paths)
        except ConfigError as error:
            self.error.error("%s; going on with the old file", error)

    def take_faults(self) -> None:
        """Have the interpreter write the stacks of all threads to the error log when it crashes, or is aborted."""
        import faulthandler  # noqa: PLC0415  built in, but of no use to an arbiter

        # Where standard error was replaced by something that has no descriptor, there is nowhere to write to.
        if self._file.fd is not None:
            faulthandler.enable(self._file.fd)

    def flush(self) -> None:
        """Write out what was gathered. Called when a worker is about to wait, and before it leaves."""
        if self.access is not None:
            self.access.flush()

"""Becoming a daemon: a process without a terminal, whose start is still waited for at the terminal.

The command that was typed returns when the server is up, or with the server's exit code and its message: a script
that starts a daemon learns whether it has one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workerkit.errors import ConfigError
from workerkit.process.attachment import Attachment
from workerkit.process.fork import fork

_DIED = 70  # EX_SOFTWARE, as for a child that ends in the middle of our own code


@dataclass(frozen=True, eq=False, repr=False)
class DaemonOptions:
    """The arbiter."""

    daemon: bool = field(
        default=False,
        metadata={
            "flags": ("-D",),
            "help": "Run in the background. The command returns when the first workers are ready, or says why not.",
        },
    )


class Starter(Attachment):
    """What the daemon has of whoever started it: somebody who waits for one answer."""

    def __init__(self, writer: int) -> None:
        self._writer: int | None = writer

    def tell(self, exit_code: int, message: str = "") -> None:
        """Let the command that was typed end with this exit code, after printing the message; once."""
        if self._writer is None:
            return
        answer = memoryview(bytes([exit_code & 0xFF]) + message.encode("utf-8", "backslashreplace"))
        try:
            while answer:
                answer = answer[os.write(self._writer, answer) :]
        except OSError:
            # Nobody waits any more (Ctrl-C); the daemon goes on.
            pass
        self.forget()

    def on_ready(self) -> None:
        """Let the command end: the server is up."""
        self.tell(0)

    def forget(self) -> None:
        """Close our end; in a child, where the daemon alone answers."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None


def refuse_where_senseless(environ: Mapping[str, str], workers: int) -> None:
    """Raise ``ConfigError`` where a daemon is of no use.

    Somebody may watch this very process, and would take what becomes a daemon for its end; and without workers,
    serving is for debuggers.
    """
    if not workers:
        raise ConfigError("daemon: workers is 0, which means to serve in this very process, with its terminal")
    if environ.get("NOTIFY_SOCKET"):
        raise ConfigError(
            "daemon: systemd (NOTIFY_SOCKET) started this process and watches it; "
            "leave daemon out, a service of systemd is in the background anyway"
        )


def daemonize(serve: Callable[[Starter], int]) -> tuple[int, str]:
    """Run ``serve(starter)`` in a daemon; return the exit code and the message for the terminal.

    Two forks: the first makes a process that may lead a session of its own, and so has no terminal; the second one
    that does not lead it, and so can never get a terminal by opening one.

    Args:
        serve: returns the daemon's exit code. When it is up or cannot be, it calls ``starter.tell``.
    """
    reader, writer = os.pipe()

    def lead() -> int:
        os.close(reader)
        os.setsid()
        fork(lambda: _be_daemon(serve, Starter(writer)))
        return 0

    first = fork(lead)
    os.close(writer)
    os.waitpid(first, 0)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read()
    if not answer:
        return _DIED, "the daemon ended before it could say why"
    return answer[0], answer[1:].decode()


def _be_daemon(serve: Callable[[Starter], int], starter: Starter) -> int:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    code = serve(starter)
    starter.tell(code)
    return code

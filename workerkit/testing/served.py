"""A server for the length of a test, in a process of its own.

Forking a test process is unsafe: it may have threads, and so may the libraries that it has loaded. So the arbiter
runs in a fresh interpreter, which imports the application by its name, as production does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

_LISTENING = re.compile(r"Listening at: (\S+)")
_LAST_LINES = 20


class ServerFailed(AssertionError):
    """The server did not start, or did not end as it should; the message holds the end of its log."""


class RunningServer:
    """A server that serves. ``url`` is where (``unix:path`` for a Unix socket), ``pid`` is its arbiter's."""

    def __init__(self, process: subprocess.Popen[str], within: float) -> None:
        self.process = process
        self.pid = process.pid
        self.log: list[str] = []
        """The lines of its error log so far."""
        self.url = ""
        self._within = within
        self._listening = threading.Event()
        assert process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(process.stderr,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.rstrip("\n"))
                if not self.url and (match := _LISTENING.search(line)):
                    self.url = match[1]
                    self._listening.set()
        self._listening.set()

    def wait_ready(self) -> None:
        """Return once it listens and a worker answers; called by ``running``.

        Raises:
            ServerFailed: It ended instead, or was not ready in time.
        """
        self._listening.wait(self._within)
        if not self.url:
            raise ServerFailed(f"the server was not ready within {self._within:g} s:\n{self._tail()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it gracefully and return its exit code; called by ``running`` if the test has not.

        Raises:
            ServerFailed: It did not end in time, and was killed.
        """
        self.process.send_signal(number)
        try:
            code = self.process.wait(self._within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(f"the server did not end within {self._within:g} s:\n{self._tail()}") from None
        self._reader.join(self._within)
        return code

    def kill(self) -> None:
        """End it at once; its workers go with it."""
        self.process.kill()
        self.process.wait()
        self._reader.join(self._within)

    def _tail(self) -> str:
        return "\n".join(self.log[-_LAST_LINES:])


@contextmanager
def running(
    application: str | Callable[..., object], *, within: float = 30.0, **settings: object
) -> Iterator[RunningServer]:
    """Serve an application while the ``with`` block runs, on a free port of the loopback address.

    Args:
        application: ``"module:app"``, or an object that can be imported by that name.
        within: Seconds that starting and stopping may each take.
        **settings: Any setting by its name, as for ``workerkit.run``; they travel as JSON.

    Raises:
        ServerFailed: It did not start or did not stop; the end of its log says why.
        ValueError: The application is local to a function, so that no other process can import it.
    """
    settings = {"bind": "127.0.0.1:0", **settings, "wsgi_app": _reference(application)}
    process = subprocess.Popen(  # noqa: S603  our own module, in our own interpreter
        [sys.executable, "-m", __name__, json.dumps(settings)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )
    server = RunningServer(process, within)
    try:
        server.wait_ready()
        yield server
        if process.poll() is None:
            server.stop()
    finally:
        server.kill()


def _reference(application: str | Callable[..., object]) -> str:
    if isinstance(application, str):
        return application
    name = getattr(application, "__qualname__", None)
    if name is None or "<" in name:
        raise ValueError(f"{application!r} cannot be imported by another process; make it a name of a module")
    return f"{application.__module__}:{name}"


def _serve(words: list[str]) -> int:
    from workerkit.assembly import run  # noqa: PLC0415  only the child serves
    from workerkit.cli.report import report  # noqa: PLC0415
    from workerkit.errors import WorkerkitError  # noqa: PLC0415

    try:
        return run(signals=True, **json.loads(words[0]))
    except WorkerkitError as error:
        print(report(error), file=sys.stderr)  # noqa: T201  as the command does
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_serve(sys.argv[1:]))

"""Boots the real command, in a process group and a folder of its own, and drives it as a stranger would.

Nothing here naps: the log is read by a thread that wakes whoever waits for a line, the end of a process is
awaited on its pidfd, and each wait has a deadline after which the whole log is shown. A server is checked
when it goes: its exit code, no process of its group left behind, no traceback that the test did not announce.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM, Signals
from typing import Any

from workerkit.testing.client import RawConnection, Reply
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.log import Log
from workerkit.testing.processes import processes_of_group, wait_for_exit

READY = re.compile(r"Worker ready \(pid: (\d+), slot: (\d+)\)")
LISTENING = re.compile(r"Listening at: (\S+)")
TROUBLE = re.compile(r"Traceback \(most recent call last\)|Exception ignored in|Warning: ")

# What would reach the command from the shell of whoever runs the tests.
FOREIGN_VARIABLES = re.compile(
    r"WORKERKIT_|GUNICORN_|WEB_CONCURRENCY$|PORT$|FORWARDED_ALLOW_IPS$|LISTEN_|NOTIFY_SOCKET$"
)


def environment(path: Sequence[Path] = (), variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our own environment without what configures a server, with ``path`` in front of PYTHONPATH."""
    inherited = {name: value for name, value in os.environ.items() if not FOREIGN_VARIABLES.match(name)}
    search = [*map(str, path), *filter(None, [inherited.get("PYTHONPATH")])]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(search),
        "PYTHONWARNINGS": "default",
        **(variables or {}),
    }


COMMAND = (sys.executable, "-m", "workerkit")
"""The command as an installed one would run, by this very interpreter."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command that ended by itself left behind."""

    code: int
    out: list[str]
    err: list[str]


def run_to_completion(
    *arguments: str,
    folder: Path,
    path: Sequence[Path] = (),
    variables: Mapping[str, str] | None = None,
    program: Sequence[str] = COMMAND,
) -> Finished:
    """Run the command until it ends by itself."""
    done = subprocess.run(  # noqa: S603  our own command
        [*program, *arguments],
        cwd=folder,
        env=environment(path, variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return Finished(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())


class Server:
    """One running ``workerkit`` command: its log, its workers, how to talk to it and how it ended."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        path: Sequence[Path] = (),
        variables: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        tracebacks: bool = False,
        program: Sequence[str] = COMMAND,
    ) -> None:
        self.folder = folder
        self._tracebacks = tracebacks
        self._stdout = (folder / "stdout").open("w")
        self.process = subprocess.Popen(  # noqa: S603  our own command
            [*program, *arguments],
            cwd=folder,
            env=environment(path, variables),
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            pass_fds=pass_fds,
        )
        assert self.process.stderr is not None
        self.log = Log(self.process.stderr)
        self.ended = False

    def __repr__(self) -> str:
        return f"<Server {self.process.pid} in {self.folder}>"

    @property
    def pid(self) -> int:
        """The arbiter's process."""
        return self.process.pid

    # -- its log and its workers --

    def wait_for_log(
        self, pattern: str | re.Pattern[str], *, count: int = 1, since: int = 0, timeout: float = DEADLINE
    ) -> list[re.Match[str]]:
        """Wait until ``count`` lines of the log match."""
        return self.log.wait_for(pattern, count=count, since=since, timeout=timeout)

    def wait_for_workers(self, count: int, *, since: int = 0) -> list[int]:
        """Wait until ``count`` workers have become ready and return their pids."""
        return [int(match[1]) for match in self.wait_for_log(READY, count=count, since=since)]

    def workers(self) -> list[int]:
        """Return the pids of the workers that have become ready and still run."""
        return processes_of_group(self.pid, [int(match[1]) for match in self.log.find(READY)])

    def reload(self, old: Sequence[int]) -> list[int]:
        """Have HUP replace these workers, all there are; return their successors once these have gone."""
        mark = self.log.mark()
        self.signal(SIGHUP)
        new = self.wait_for_workers(len(old), since=mark)
        wait_for_exit(old)
        return new

    # -- its listeners --

    def wait_for_addresses(self, count: int = 1) -> list[str]:
        """Wait until the server listens at ``count`` addresses, and return them as the log names them."""
        return [match[1] for match in self.wait_for_log(LISTENING, count=count)]

    @property
    def url(self) -> str:
        """The first address, as a client writes it."""
        return self.wait_for_addresses()[0]

    @property
    def port(self) -> int:
        """The port of the first address."""
        return int(self.url.rpartition(":")[2])

    def connect(self, address: str | None = None, *, receive_buffer: int | None = None) -> RawConnection:
        """Open a connection for bytes that no well-behaved client would send.

        Args:
            address: as the log names it; by default the first.
            receive_buffer: bytes that the kernel holds for us, to be a slow reader with little data.
        """
        address = address or self.url
        if address.startswith("unix:"):
            connected = socket.socket(socket.AF_UNIX)
            where: str | tuple[str, int] = address.removeprefix("unix:")
        else:
            connected = socket.socket()
            where = ("127.0.0.1", int(address.rpartition(":")[2]))
        if receive_buffer is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connected.settimeout(DEADLINE)
        try:
            connected.connect(where)
        except OSError:
            connected.close()
            raise
        return RawConnection(connected)

    def exchange(self, request: bytes) -> Reply:
        """Send these very bytes on a connection of their own and read one response."""
        with self.connect() as connection:
            connection.send(request)
            return connection.read_response(request.split(b" ", 1)[0].decode("latin-1"))

    def fetch(self, target: str, **fields: str) -> Reply:
        """Fetch a target on a connection of its own."""
        with self.connect() as connection:
            return connection.get(target, **fields)

    # -- its end --

    def signal(self, number: Signals) -> None:
        """Send a signal to the arbiter."""
        self.process.send_signal(number)

    def wait_for_end(self, code: int, *, timeout: float = DEADLINE) -> None:
        """Wait until the command has ended, as it should: this exit code, and nothing left behind."""
        self.ended = True
        self.process.wait(timeout)
        leftover = processes_of_group(self.pid)
        assert not leftover, f"processes left behind: {leftover}\n{self.log.text}"
        self.log.close()
        assert self.process.returncode == code, f"exit code {self.process.returncode}\n{self.log.text}"
        trouble = [line for line in self.log.lines if TROUBLE.search(line)]
        assert self._tracebacks or not trouble, f"the log shows {trouble}:\n{self.log.text}"

    def stop(
        self, number: Signals = SIGTERM, *, code: int = 0, timeout: float = DEADLINE
    ) -> None:
        """Ask the server to go and wait until it has."""
        self.signal(number)
        self.wait_for_end(code, timeout=timeout)

    def close(self) -> None:
        """Free everything, whatever state it is in; the folder stays."""
        if self.process.poll() is None:
            self.process.kill()
        for pid in processes_of_group(self.pid):
            os.kill(pid, SIGKILL)
        self.process.wait(DEADLINE)
        self.log.close()
        self._stdout.close()


class Launcher:
    """Starts servers for a test or a module, and checks at its end that each one goes as it should."""

    server_class: type[Server] = Server

    def __init__(self, folder: Path, path: Sequence[Path] = (), arguments: Sequence[str] = ()) -> None:
        self.folder = folder
        self.path = path
        """Where every server imports from, unless told otherwise."""
        self.arguments = arguments
        """What every server is started with."""
        self.servers: list[Any] = []

    def __call__(
        self,
        *arguments: str,
        workers: int | None = 1,
        bind: str | None = "127.0.0.1:0",
        ready: int | None = None,
        files: Mapping[str, str] | None = None,
        path: Sequence[Path] | None = None,
        variables: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        tracebacks: bool = False,
        program: Sequence[str] = COMMAND,
        common: Sequence[str] | None = None,
    ) -> Any:
        """Start a server and return it once it listens and its workers are ready.

        Args:
            arguments: the command's, besides those made of the next two.
            workers: for ``--workers``; None leaves the flag out.
            bind: for ``--bind``; None leaves the flag out.
            ready: workers to wait for; default: as many as ``workers``, and one that is the command itself for 0.
            files: texts to put into the server's folder first, by name.
            path: folders to import from.
            variables: environment variables to add.
            pass_fds: descriptors that the command inherits.
            tracebacks: whether the test means the application to fail, so that its log may show tracebacks.
            program: what takes the arguments, if not the command.
            common: in place of the launcher's ``arguments``.
        """
        flags = [] if bind is None else ["--bind", bind]
        flags += [] if workers is None else ["--workers", str(workers)]
        folder = self.folder / f"server-{len(self.servers)}"
        folder.mkdir()
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        server = self.server_class(
            [*flags, *(self.arguments if common is None else common), *arguments],
            folder=folder,
            path=self.path if path is None else path,
            variables=variables,
            pass_fds=pass_fds,
            tracebacks=tracebacks,
            program=program,
        )
        self.servers.append(server)
        try:
            server.wait_for_addresses()
            server.wait_for_workers((workers or 1) if ready is None else ready)
        except AssertionError:
            server.ended = True  # said once is enough: there is nothing to check at the end
            raise
        return server

    def finish(self) -> None:
        """Stop each server that still runs; fail if one does not go as it should."""
        try:
            for server in self.servers:
                if not server.ended:
                    server.stop()
        finally:
            for server in self.servers:
                server.close()

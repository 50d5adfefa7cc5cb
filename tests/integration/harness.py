"""Boots the real command, in a process group and a folder of its own, and drives it as a stranger would.

Nothing here naps: the log is read by a thread that wakes whoever waits for a line, the end of a process is
awaited on its pidfd, and each wait has a deadline after which the whole log is shown. A server is checked
when it goes: its exit code, no process of its group left behind, no traceback that the test did not announce.
"""

from __future__ import annotations

import http.client
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from types import TracebackType
from typing import IO, Self

import httpx

APPS = Path(__file__).parent / "apps"
EXAMPLES = Path(__file__).parents[2] / "examples"

DEADLINE = 10.0
"""Seconds that any wait may last; passing runs stay far below it."""

READY = re.compile(r"Worker ready \(pid: (\d+), slot: (\d+)\)")
LISTENING = re.compile(r"Listening at: (\S+)")
TROUBLE = re.compile(r"Traceback \(most recent call last\)|Exception ignored in|Warning: ")

# What would reach the command from the shell of whoever runs the tests.
FOREIGN_VARIABLES = re.compile(
    r"WORKERKIT_|GUNICORN_|WEB_CONCURRENCY$|PORT$|FORWARDED_ALLOW_IPS$|LISTEN_|NOTIFY_SOCKET$"
)


class Log:
    """The lines of a stream, read by a thread as they come."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="log reader", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._stream:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def lines(self) -> list[str]:
        with self._changed:
            return list(self._lines)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def mark(self) -> int:
        """Return the place after the last line so far, for the ``since`` of a later wait."""
        with self._changed:
            return len(self._lines)

    def wait_for(
        self, pattern: str | re.Pattern[str], *, count: int = 1, since: int = 0, timeout: float = DEADLINE
    ) -> list[re.Match[str]]:
        """Wait until ``count`` lines match and return the matches of all that do."""

        def found() -> list[re.Match[str]]:
            return [match for line in self._lines[since:] if (match := re.search(pattern, line))]

        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(found()) >= count, timeout)
            matches = found()
        if len(matches) < count:
            raise AssertionError(f"{len(matches)} of {count} lines match {pattern!r} in this log:\n{self.text}")
        return matches

    def close(self) -> None:
        """Wait for the end of the stream: every process that could write to it is gone."""
        self._reader.join(DEADLINE)
        assert not self._reader.is_alive(), "a process keeps the log open"
        self._stream.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as it came: header names in lower case, the body without its framing."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection:
    """A client's socket that sends exactly the bytes it is given, and reads responses one at a time."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(DEADLINE)
        self.socket = connected
        self._incoming = connected.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_response(self, method: str = "GET") -> Reply:
        """Read one response, interim ones skipped; raise AssertionError if the server closed instead."""
        status = 100
        while status < 200:
            line = self._incoming.readline()
            assert line, "the connection was closed where a response was expected"
            status = int(line.split()[1])
            fields = http.client.parse_headers(self._incoming)
        headers = {name.lower(): value for name, value in fields.items()}
        bodiless = method == "HEAD" or status in (204, 304)
        return Reply(status, headers, b"" if bodiless else self._read_body(headers))

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(self._read_chunks())
        if (length := headers.get("content-length")) is not None:
            return self._incoming.read(int(length))
        return self._incoming.read()

    def _read_chunks(self) -> Iterable[bytes]:
        while size := int(self._incoming.readline(), 16):
            chunk = self._incoming.read(size + 2)
            assert chunk[size:] == b"\r\n", "a chunk must end with CRLF"
            yield chunk[:size]
        assert self._incoming.readline() == b"\r\n", "the last chunk must be followed by an empty line"

    def at_end(self) -> bool:
        """Wait for the server's next byte or its end of the connection; tell whether it was the end."""
        return self._incoming.peek(1) == b""

    def close(self) -> None:
        self._incoming.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Gate:
    """Holds a request inside the application ``holds_at_gate`` until the test lets it go on."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate"
        os.mkfifo(self.path)
        # Open for both directions: neither side then waits for the other to open its end.
        self._descriptor = os.open(self.path, os.O_RDWR)

    def open(self) -> None:
        """Let one request go on."""
        os.write(self._descriptor, b".")

    def close(self) -> None:
        os.close(self._descriptor)


def is_alive(pid: int) -> bool:
    """Tell whether the process runs; one that is dead and not yet waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def processes_of_group(group: int) -> list[int]:
    """Return the pids of a process group that run."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if is_alive(pid) and _group_of(pid) == group]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def wait_for_exit(pids: Iterable[int], *, count: int | None = None, timeout: float = DEADLINE) -> list[int]:
    """Wait until ``count`` of the processes (default: all) have ended, and return those that have."""
    pids = list(pids)
    wanted = len(pids) if count is None else count
    ended: list[int] = []
    watched: dict[int, int] = {}
    poller = select.poll()
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            ended.append(pid)
        else:
            watched[descriptor] = pid
            poller.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + timeout
    try:
        while len(ended) < wanted and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poller.poll(left * 1000):
                poller.unregister(descriptor)
                ended.append(watched[descriptor])
    finally:
        for descriptor in watched:
            os.close(descriptor)
    assert len(ended) >= wanted, f"{ended} of {pids} ended within {timeout} s, not {wanted} of them"
    return ended


def environment(path: Sequence[Path] = (APPS,), variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our own environment without what configures a server, with ``path`` in front of PYTHONPATH."""
    inherited = {name: value for name, value in os.environ.items() if not FOREIGN_VARIABLES.match(name)}
    search = [*map(str, path), *filter(None, [inherited.get("PYTHONPATH")])]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(search),
        "PYTHONWARNINGS": "default",
        **(variables or {}),
    }


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return the command as an installed one would run, by this very interpreter."""
    return [sys.executable, "-m", "workerkit", *arguments]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command that ended by itself left behind."""

    code: int
    out: list[str]
    err: list[str]


def run_to_completion(
    *arguments: str, folder: Path, path: Sequence[Path] = (APPS,), variables: Mapping[str, str] | None = None
) -> Finished:
    """Run the command until it ends by itself."""
    done = subprocess.run(
        command_line(arguments),
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
        path: Sequence[Path] = (APPS,),
        variables: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        tracebacks: bool = False,
    ) -> None:
        self.folder = folder
        self._tracebacks = tracebacks
        self._stdout = (folder / "stdout").open("w")
        self.process = subprocess.Popen(
            command_line(arguments),
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
        pids = [int(match[1]) for line in self.log.lines if (match := READY.search(line))]
        return [pid for pid in pids if is_alive(pid)]

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
        return int(self.url.rpartition(":")[2])

    def client(self, address: str | None = None) -> httpx.Client:
        """Return a real HTTP client with cookies and connections of its own."""
        address = address or self.url
        if address.startswith("unix:"):
            transport = httpx.HTTPTransport(uds=address.removeprefix("unix:"), verify=False)
            return httpx.Client(base_url="http://localhost", transport=transport, timeout=DEADLINE)
        # Nothing here is encrypted, and reading the machine's certificates would take most of a test's time.
        return httpx.Client(base_url=address, timeout=DEADLINE, trust_env=False, verify=False)

    def get(self, target: str) -> httpx.Response:
        """Fetch a target on a connection of its own."""
        with self.client() as client:
            return client.get(target)

    def connect(self) -> RawConnection:
        """Open a connection for bytes that no well-behaved client would send."""
        return RawConnection(socket.create_connection(("127.0.0.1", self.port), DEADLINE))

    def exchange(self, request: bytes) -> Reply:
        """Send these very bytes on a connection of their own and read one response."""
        with self.connect() as connection:
            connection.send(request)
            return connection.read_response(request.split(b" ", 1)[0].decode("latin-1"))

    def visit_every_worker(self, fetch_pid: Callable[[httpx.Client], int], *, at_most: int = 100) -> set[int]:
        """Open new connections until each worker has answered one, and return the pids that did."""
        wanted = set(self.workers())
        seen: set[int] = set()
        for _ in range(at_most):
            with self.client() as client:
                seen.add(fetch_pid(client))
            if seen >= wanted:
                break
        return seen

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

    def stop(self, number: Signals = SIGTERM, *, code: int = 0, timeout: float = DEADLINE) -> None:
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

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[Server] = []

    def __call__(
        self,
        *arguments: str,
        workers: int | None = 1,
        bind: str | None = "127.0.0.1:0",
        ready: int | None = None,
        files: Mapping[str, str] | None = None,
        path: Sequence[Path] = (APPS,),
        variables: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        tracebacks: bool = False,
    ) -> Server:
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
        """
        flags = [] if bind is None else ["--bind", bind]
        flags += [] if workers is None else ["--workers", str(workers)]
        folder = self.folder / f"server-{len(self.servers)}"
        folder.mkdir()
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        server = Server(
            [*flags, *arguments],
            folder=folder,
            path=path,
            variables=variables,
            pass_fds=pass_fds,
            tracebacks=tracebacks,
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

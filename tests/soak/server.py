"""The server under test: the real command, followed over upgrades by its pid file."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.soak.memory_group import joining
from workerkit.process.clock import monotonic
from workerkit.testing.log import Log
from workerkit.testing.processes import processes_of_group, wait_for_exit
from workerkit.testing.server import COMMAND, LISTENING, environment

READY = r"Worker ready \(pid: (\d+)"
LEFT = r"Worker \d+ \(pid: \d+\) left"
_WITHIN = 30.0


class SoakServer:
    """One server of a worker class, in a folder of its own, and perhaps in a control group."""

    def __init__(self, worker_class: str, folder: Path, group: Path | None = None, workers: int = 2) -> None:
        self.workers = workers
        self.folder = folder
        self.unix = str(folder / "soak.sock")
        self._pid_file = folder / "soak.pid"
        shutil.copy(Path(__file__).with_name("application.py"), folder / "soak_application.py")
        self._process = subprocess.Popen(
            [
                *([] if group is None else joining(group)),
                *COMMAND, "soak_application:application", "--worker-class", worker_class, "--workers", str(workers),
                "--bind", "127.0.0.1:0", "--bind", f"unix:{self.unix}", "--pid", str(self._pid_file),
                "--graceful-timeout", "15", "--keep-alive", "600",
            ],
            cwd=folder,
            env=environment([folder]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        self.log = Log(self._process.stderr)
        self.log.wait_for(READY, count=workers, timeout=_WITHIN)
        self.port = int(self.log.find(LISTENING)[0][1].rpartition(":")[2])

    @property
    def arbiter(self) -> int:
        """The arbiter's pid, which an upgrade changes."""
        return int(self._pid_file.read_text())

    def ready_workers(self) -> list[int]:
        """Return the pids of the workers that have been ready and still run."""
        return processes_of_group(self._process.pid, [int(match[1]) for match in self.log.find(READY)])

    def reload(self) -> None:
        """Replace the workers, and wait until the old ones have left."""
        since = self.log.mark()
        os.kill(self.arbiter, signal.SIGHUP)
        self.log.wait_for(READY, count=self.workers, since=since, timeout=_WITHIN)
        self.log.wait_for(LEFT, count=self.workers, since=since, timeout=_WITHIN)

    def upgrade(self) -> None:
        """Replace the arbiter too, and wait until the old one has left."""
        before = self.arbiter
        since = self.log.mark()
        os.kill(before, signal.SIGUSR2)
        self.log.wait_for(READY, count=self.workers, since=since, timeout=_WITHIN)
        if before == self._process.pid:
            self._process.wait(_WITHIN)
        else:
            wait_for_exit([before], timeout=_WITHIN)
        assert self.arbiter != before

    def kill_worker(self, number: signal.Signals, held: Callable[[int], int]) -> tuple[float, int]:
        """Kill the oldest worker as it stands; return when, and what it ``held``, by its pid."""
        since = self.log.mark()
        pid = self.ready_workers()[0]
        # What it holds must not change between the look and its end.
        os.kill(pid, signal.SIGSTOP)
        holds = held(pid)
        os.kill(pid, number)
        with contextlib.suppress(ProcessLookupError):  # SIGKILL ends even what is stopped
            os.kill(pid, signal.SIGCONT)
        at = monotonic()
        self.log.wait_for(READY, since=since, timeout=_WITHIN)
        return at, holds

    def break_release(self) -> None:
        """Make what the next worker loads raise."""
        (self.folder / "broken").touch()

    def terminate(self) -> bool:
        """Ask it to stop; return whether it ended with 0 and left nobody behind."""
        os.kill(self.arbiter, signal.SIGTERM)
        return self._process.wait(_WITHIN) == 0 and not processes_of_group(self._process.pid)

    def stop(self) -> None:
        """End everything that is left."""
        left = processes_of_group(self._process.pid)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self._process.wait(_WITHIN)
        wait_for_exit(left, timeout=_WITHIN)
        self.log.close()

    def descriptors(self) -> int:
        """Count what the arbiter and its workers have open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (self.arbiter, *self.ready_workers()))

    def memory(self) -> int:
        """Return what the arbiter and its workers have of memory together, in bytes.

        Their proportional share of what they have allocated. Programs and libraries do not count: they are mapped from
        files, and the share in them grows whenever somebody else's Python ends.
        """
        return sum(_allocated(pid) for pid in (self.arbiter, *self.ready_workers()))


def connections_of(pid: int) -> int:
    """Count the established connections that a process holds, over TCP and Unix sockets."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
        if match:
            inodes.add(match[1])
    return len(inodes & (_established_tcp() | _connected_unix()))


def _established_tcp() -> set[str]:
    """Columns of /proc/net/tcp: state is the fourth (01 established, 08 close-wait), inode the tenth."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] in ("01", "08")}


def _connected_unix() -> set[str]:
    """Columns of /proc/net/unix: type is the fifth (0001 stream), state the sixth (03 connected), inode the seventh."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {row[6] for row in rows if len(row) > 7 and row[4] == "0001" and row[5] == "03"}


def _allocated(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))

"""An arbiter whose scoreboard can be read from outside, while the real command runs.

The scoreboard is memory that only the arbiter and its workers share. Here it is a file, ``scoreboard`` in the folder
where the command was started, so that a test can see what the workers count.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable
from pathlib import Path

from workerkit.arbiter.prefork import PreforkArbiter
from workerkit.process.clock import monotonic
from workerkit.process.scoreboard import ROWS, Column, Row, Scoreboard
from workerkit.testing.deadline import DEADLINE

FILE = "scoreboard"
_LOOK_AGAIN = 0.005


class SharedScoreboard(Scoreboard):
    """A scoreboard in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._cells = memoryview(self._memory).cast("q")


class ObservedArbiter(PreforkArbiter):
    """The prefork arbiter, with such a scoreboard."""

    def start(self) -> None:
        """Open the listeners, and the scoreboard where the test can see it."""
        super().start()
        size = len(self._children.scoreboard._memory)
        path = Path(FILE)
        path.write_bytes(bytes(size))
        self._children.scoreboard = SharedScoreboard(path)


class Statistics:
    """A running server's scoreboard, seen from outside."""

    def __init__(self, folder: Path) -> None:
        self._board = SharedScoreboard(folder / FILE)

    def row_of(self, pid: int) -> Row:
        """Return the row of a worker.

        Raises:
            LookupError: No row is that worker's.
        """
        rows = map(self._board.row, range(ROWS))
        found = [row for row in rows if row[Column.PID] == pid]
        if not found:
            raise LookupError(f"no row of the scoreboard belongs to {pid}")
        return found[0]

    def total(self, column: Column) -> int:
        """Return a figure over all rows that are in use."""
        return self._board.total(column)

    def comes_to(self, column: Column, wanted: int, *, within: float = DEADLINE) -> bool:
        """Wait until the figure is ``wanted``; tell whether it came to that."""
        return look_until(lambda: self.total(column) == wanted, within)


def look_until(holds: Callable[[], bool], within: float = DEADLINE) -> bool:
    """Look until it holds or the time is over; tell whether it held. For what tells nobody that it has changed."""
    deadline = monotonic() + within
    never = threading.Event()
    while not (held := holds()) and monotonic() < deadline:
        never.wait(_LOOK_AGAIN)
    return held

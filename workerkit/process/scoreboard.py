"""Numbers that every process of a server can see: one row of shared memory per slot.

Anonymous shared memory, made before the first fork: no temporary file, so a full or slow disk cannot make a worker
look dead. A row is written by the one process that holds its slot, except for its STATE, PID and GENERATION columns,
which the arbiter alone writes. Readers take what is there: a 64-bit cell is read and written whole, and a figure
that is one request old is fine.

1,024 rows are reserved; pages that nobody touched cost nothing.
"""

from __future__ import annotations

import enum
import mmap

ROWS = 1024


class Column(enum.IntEnum):
    """The cells of a row, each a signed 64-bit integer."""

    STATE = 0
    PID = 1
    GENERATION = 2
    BEAT = 3
    """Nanoseconds of the monotonic clock at the last heartbeat."""
    BUSY = 4
    """Requests (or other jobs) running now."""
    CONNECTIONS = 5
    """Connections open now."""
    ACCEPTED = 6
    """Connections accepted since the row was taken."""
    REQUESTS = 7
    """Requests (or other jobs) finished since the row was taken."""
    FAILURES = 8
    """Of these, the ones that failed: responses of 500 and above, jobs that raised."""
    BUSY_SINCE = 9
    """Nanoseconds of the monotonic clock at the start of the one job that runs now, 0 between jobs; by workers
    that run one job at a time."""
    POOL = 10
    """Which pool its worker belongs to, counted from 1; 0: it is no worker's."""
    SHED = 11
    """Of the requests, the ones that were turned away because they had waited for too long."""
    ACCEPTED_AT = 12
    """Nanoseconds of the monotonic clock when it last took a connection; by workers that take turns at that."""
    LATE_AT = 13
    """Nanoseconds of the monotonic clock when a request last began that had waited for long; where the load decides
    how many workers there are. A time, and so nobody has to clear it, whoever reads it and how often."""


_TOTALS = (Column.ACCEPTED, Column.REQUESTS, Column.FAILURES, Column.SHED)
_CELLS = 16
_CELL = 8


class Row:
    """One slot's cells."""

    __slots__ = ("cells",)

    def __init__(self, cells: memoryview[int]) -> None:
        self.cells = cells

    def __getitem__(self, column: Column) -> int:
        """Return a cell."""
        return self.cells[column]

    def __setitem__(self, column: Column, value: int) -> None:
        """Write a cell."""
        self.cells[column] = value

    @property
    def beat(self) -> float:
        """The last heartbeat, in seconds of the monotonic clock; 0.0 before the first."""
        return self.cells[Column.BEAT] / 1e9


class Scoreboard:
    """All rows, and what the dead have counted."""

    def __init__(self, rows: int = ROWS) -> None:
        self._memory = mmap.mmap(-1, rows * _CELLS * _CELL)
        self._cells = memoryview(self._memory).cast("q")
        self._finished = dict.fromkeys(_TOTALS, 0)
        self.rows = rows

    def row(self, slot: int) -> Row:
        """Return a slot's row, to read or to write."""
        return Row(self._cells[slot * _CELLS : (slot + 1) * _CELLS])

    def take(self, slot: int) -> Row:
        """Return the row for a new process, emptied; what its last holder counted is kept in the totals."""
        row = self.row(slot)
        for column in _TOTALS:
            self._finished[column] += row[column]
        for cell in range(_CELLS):
            row.cells[cell] = 0
        return row

    def total(self, column: Column) -> int:
        """Return a figure over all workers; counters include those of workers that are gone."""
        return self._finished.get(column, 0) + sum(self._cells[column :: _CELLS])

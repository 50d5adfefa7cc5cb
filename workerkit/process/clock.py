"""Clocks: the one place that reads the time; everything else is handed a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds for deadlines. Tests pass their own."""

    def __call__(self) -> float:
        """Return seconds that only grow, comparable between the processes of one machine."""


monotonic: Clock = time.monotonic

# For people only (the Date header, log lines), never for a deadline: it jumps when the clock is set.
wall_clock = time.time  # noqa: TID251  this is the one place
gmtime = time.gmtime

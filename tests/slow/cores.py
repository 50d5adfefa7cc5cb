"""Who gets a core at once, and that it is awake: what the machine adds to a latency is kept out of it.

Both need privileges, and without them cost those who ask some milliseconds now and then: before an attack, when cores
sleep, more than in it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_LATENCY = "/dev/cpu_dma_latency"
_NONE = bytes(4)  # microseconds, as a signed number of 32 bits


@contextlib.contextmanager
def kept_awake() -> Iterator[bool]:
    """Keep all cores from sleeping while the block lasts; False where that is not allowed, or not to be had.

    The kernel heeds the latency that is asked for as long as the file is open (pm_qos_interface).
    """
    try:
        wish = os.open(_LATENCY, os.O_WRONLY)
    except OSError:
        yield False
        return
    try:
        os.write(wish, _NONE)
        yield True
    finally:
        os.close(wish)


def run_first(pid: int) -> None:
    """Give a process a core as soon as it wants one, whoever has it."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


def run_last(pid: int) -> None:
    """Give a process what is left of its cores."""
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))

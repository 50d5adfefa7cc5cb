"""When the host of this machine took processors away from it, by proc_stat(5).

On a virtual machine a request may take long because nobody worked on it or on anything else. How often that happens
differs by far more than any server does, from minute to minute: what a server does to its clients shows in the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

from benchmarks.fleet import Sample
from workerkit.process.clock import monotonic

Span = tuple[float, float]
"""From when to when, in seconds on the monotonic clock."""

_LOOK_EVERY = 0.25
_TICK = 0.01  # the kernel counts in these, and so may count late by one


@contextlib.contextmanager
def noted(cores: Collection[int]) -> Iterator[list[Span]]:
    """Return a list that is filled, while the block lasts, with the times in which any of these cores was taken."""
    spans: list[Span] = []
    done = Event()

    def watch() -> None:
        looked, before = monotonic(), stolen(cores, _read())
        ended = False
        while not ended:
            ended = done.wait(_LOOK_EVERY)
            now, after = monotonic(), stolen(cores, _read())
            if after > before:
                spans.append((looked - _TICK, now))
            looked, before = now, after

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield spans
    finally:
        done.set()
        watcher.join()


def stolen(cores: Collection[int], statistics: str) -> int:
    """Add up what was stolen from these cores so far, in the kernel's ticks: the eighth figure of a core's line."""
    rows = (line.split() for line in statistics.splitlines())
    wanted = {f"cpu{core}" for core in cores}
    return sum(int(row[8]) for row in rows if row and row[0] in wanted)


def undisturbed(samples: Sequence[Sample], spans: Sequence[Span]) -> list[Sample]:
    """Return the samples of requests that touch none of the spans."""
    return [
        sample for sample in samples if not any(sample.due <= end and start <= sample.done for start, end in spans)
    ]


def _read() -> str:
    return Path("/proc/stat").read_text()

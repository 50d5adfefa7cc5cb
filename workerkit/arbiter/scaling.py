"""How many workers the load asks for, between the bounds of ``--workers MIN..MAX``. Pure: samples in, a number out.

Up fast and down slowly: a worker too few costs clients their time, one too many costs some memory. What lies between
the two thresholds changes nothing, so a load that stays the same never makes workers come and go.

How much a worker runs says little where it may run a thousand things at once, each of which may keep the others from
running. There it is the requests that tell: they have to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

UP_ABOVE, UP_WITHIN = 0.8, 1.0
DOWN_BELOW, DOWN_WITHIN = 0.3, 30.0
LATE_UP_ABOVE, LATE_DOWN_BELOW = 0.5, 0.05
SAMPLE_EVERY = 0.25


class Sample(NamedTuple):
    """How busy a pool was at one moment."""

    at: float
    busy: float
    """What its ready workers ran, as a share of what they can run at once."""
    late: float = 0.0
    """The share of them in which, since the sample before, a request began that had waited for long."""


class Bounds(NamedTuple):
    """As few and as many workers as there may be."""

    fewest: int
    most: int

    def clamp(self, workers: int) -> int:
        """Return the nearest number that is allowed."""
        return max(self.fewest, min(self.most, workers))

    def moved(self, step: int, most: int) -> Bounds:
        """Return both of them moved, between 1 and ``most``."""
        return Bounds(max(1, min(most, self.fewest + step)), max(1, min(most, self.most + step)))


def wanted_workers(samples: Sequence[Sample], workers: int, bounds: Bounds) -> int:
    """Return how many workers there should be.

    Args:
        samples: The latest last; none of them older than the last change.
        workers: How many there are.
        bounds: Between which the answer is.
    """
    recent = _latest(samples, UP_WITHIN)
    if recent and (min(sample.busy for sample in recent) > UP_ABOVE or _late(recent) > LATE_UP_ABOVE):
        return bounds.clamp(workers + max(1, workers // 2))
    # One less must be able to carry the load without being called back at once.
    low = min(DOWN_BELOW, UP_ABOVE * (workers - 1) / workers) if workers else 0.0
    recent = _latest(samples, DOWN_WITHIN)
    if recent and _busy(recent) < low and _late(recent) < LATE_DOWN_BELOW:
        return bounds.clamp(workers - 1)
    return bounds.clamp(workers)


def _latest(samples: Sequence[Sample], within: float) -> list[Sample]:
    """Return the samples of the last so many seconds; none, if there are none yet from as long ago."""
    if not samples or samples[-1].at - samples[0].at < within:
        return []
    since = samples[-1].at - within
    return [sample for sample in samples if sample.at >= since]


def _late(samples: Sequence[Sample]) -> float:
    """Return in which share of the looks, at each worker in each sample, requests had waited.

    A mean: one that waits now and then, while something else took its time, is no reason for another worker. Nor are
    connections that stay with one worker, while others are free: more of those would not help them.
    """
    return sum(sample.late for sample in samples) / len(samples)


def _busy(samples: Sequence[Sample]) -> float:
    """Return how busy the pool was altogether: one request now and then keeps no worker."""
    return sum(sample.busy for sample in samples) / len(samples)


class LoadHistory:
    """The samples of one pool since its number of workers changed."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=1 + int(2 * DOWN_WITHIN / SAMPLE_EVERY))

    def decide(self, sample: Sample, workers: int, bounds: Bounds) -> int:
        """Take a sample; return how many workers there should be."""
        self._samples.append(sample)
        wanted = wanted_workers(self._samples, workers, bounds)
        if wanted != workers:
            self.forget()
        return wanted

    def forget(self) -> None:
        """Begin anew: the load is spread over others now."""
        self._samples.clear()

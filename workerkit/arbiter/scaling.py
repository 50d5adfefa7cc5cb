"""How many workers the load asks for, between the bounds of ``--workers MIN..MAX``. Pure: samples in, a number out.

Up fast and down slowly: a worker too few costs clients their time, one too many costs some memory. What lies between
the two thresholds changes nothing, so a load that stays the same never makes workers come and go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

UP_ABOVE, UP_WITHIN = 0.8, 1.0
DOWN_BELOW, DOWN_WITHIN = 0.3, 30.0
SAMPLE_EVERY = 0.25


class Sample(NamedTuple):
    """How busy a pool was at one moment."""

    at: float
    busy: float
    """What its ready workers ran, as a share of what they can run at once."""


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
    if _holds(samples, UP_WITHIN, UP_ABOVE, float("inf")):
        return bounds.clamp(workers + max(1, workers // 2))
    # One less must be able to carry the load without being called back at once.
    low = min(DOWN_BELOW, UP_ABOVE * (workers - 1) / workers) if workers else 0.0
    if _holds(samples, DOWN_WITHIN, -1.0, low):
        return bounds.clamp(workers - 1)
    return bounds.clamp(workers)


def _holds(samples: Sequence[Sample], within: float, above: float, below: float) -> bool:
    """Tell whether the load has been between the two for so long."""
    if not samples or samples[-1].at - samples[0].at < within:
        return False
    since = samples[-1].at - within
    return all(above < sample.busy < below for sample in samples if sample.at >= since)


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

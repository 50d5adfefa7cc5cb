"""How many workers the load asks for: samples in, a number out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from workerkit.arbiter.scaling import SAMPLE_EVERY, Bounds, LoadHistory, Sample, wanted_workers

BOUNDS = Bounds(2, 8)


def over(seconds: float, *busy: float, late: Sequence[float] = (0.0,)) -> list[Sample]:
    """Return samples over so many seconds: the shares in turn."""
    return [
        Sample(at * SAMPLE_EVERY, busy[at % len(busy)], late[at % len(late)])
        for at in range(int(seconds / SAMPLE_EVERY) + 1)
    ]


@pytest.mark.parametrize(("workers", "more"), [(2, 3), (4, 6), (6, 8), (8, 8)])
def test_a_second_of_high_load_asks_for_half_as_many_again(workers: int, more: int) -> None:
    """Up fast, but not past the bound."""
    assert wanted_workers(over(1.0, 0.9), workers, BOUNDS) == more


@pytest.mark.parametrize("late", [(1.0,), (1.0, 0.0, 1.0, 1.0), (0.75, 0.5)])
def test_requests_that_wait_for_most_of_a_second_ask_for_more(late: tuple[float, ...]) -> None:
    """However little the workers seem to do: up as fast as for a high load."""
    assert wanted_workers(over(1.0, 0.0, late=late), 4, BOUNDS) == 6
    assert wanted_workers(over(0.75, 0.0, late=late), 4, BOUNDS) == 4


@pytest.mark.parametrize("late", [(1.0, 0.0, 0.0, 0.0), (0.5,)])
def test_a_wait_now_and_then_changes_nothing(late: tuple[float, ...]) -> None:
    """Neither a peak of a moment, nor connections that keep to some of the workers; but nobody leaves meanwhile."""
    assert wanted_workers(over(60.0, 0.0, late=late), 4, BOUNDS) == 4


def test_a_stray_wait_keeps_no_worker() -> None:
    """Of half a minute, one look in forty may find a request that has waited."""
    assert wanted_workers(over(30.0, 0.0, late=[1.0, *[0.0] * 39]), 4, BOUNDS) == 3


def test_half_a_minute_of_low_load_asks_for_one_less() -> None:
    """Down slowly, one at a time, and not past the bound."""
    assert wanted_workers(over(30.0, 0.1), 4, BOUNDS) == 3
    assert wanted_workers(over(30.0, 0.1), 2, BOUNDS) == 2
    assert wanted_workers(over(30.0, 0.0, 0.0, 0.0, 1.0), 4, BOUNDS) == 3


@pytest.mark.parametrize(
    "samples", [[], over(0.75, 1.0), over(29.0, 0.0), over(60.0, 0.5), over(60.0, 0.9, 0.5), over(60.0, 0.1, 0.6)]
)
def test_nothing_changes_before_it_has_lasted(samples: list[Sample]) -> None:
    """A peak, a lull, and a load between the thresholds leave everything as it is."""
    assert wanted_workers(samples, 4, BOUNDS) == 4


def test_what_was_long_ago_does_not_count() -> None:
    """Only the latest second decides whether more are needed."""
    early = [Sample(at - 100.0, 0.2) for at in range(50)]

    assert wanted_workers([*early, *over(1.0, 0.95)], 4, BOUNDS) == 6


def test_the_bounds_are_kept_whatever_the_load() -> None:
    """Bounds that have moved take effect at once."""
    assert wanted_workers([], 1, BOUNDS) == 2
    assert wanted_workers([], 9, BOUNDS) == 8


def test_scaling_down_is_not_called_back() -> None:
    """The last worker but one goes only if the other can carry what is left."""
    assert wanted_workers(over(30.0, 0.29), 2, Bounds(1, 4)) == 1
    assert wanted_workers(over(30.0, 0.29), 1, Bounds(0, 4)) == 1


def test_after_a_change_the_history_begins_anew() -> None:
    """What was measured before says nothing about the workers that there are now."""
    history = LoadHistory()
    workers = 2
    steps = []
    for sample in over(3.0, 1.0):
        wanted = history.decide(sample, workers, BOUNDS)
        if wanted != workers:
            steps.append((sample.at, wanted))
        workers = wanted

    assert steps == [(1.0, 3), (2.25, 4)]


def test_bounds_move_together() -> None:
    """TTIN and TTOU shift the range; one worker and the scoreboard's rows are its limits."""
    assert BOUNDS.moved(+1, 512) == Bounds(3, 9)
    assert Bounds(1, 2).moved(-1, 512) == Bounds(1, 1)
    assert Bounds(500, 512).moved(+1, 512) == Bounds(501, 512)

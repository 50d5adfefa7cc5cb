"""The watchdog: one report for a heart that does not beat, none for one that does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest
from greenlet import getcurrent, greenlet

from workerkit.process.scoreboard import Column, Row, Scoreboard
from workerkit.workers.watchdog import Watchdog

PATIENCE = 0.05


class Reports(logging.Handler):
    """Reports, to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.came = threading.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.came.release()


@pytest.fixture
def row() -> Row:
    return Scoreboard(rows=1).row(0)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def log(reports: Reports) -> Iterator[logging.Logger]:
    logger = logging.getLogger("test.watchdog")
    logger.addHandler(reports)
    yield logger
    logger.removeHandler(reports)


def beat(row: Row) -> None:
    row[Column.BEAT] = time.monotonic_ns()


def hold_up(reports: Reports) -> bool:
    """Be what blocks."""
    return reports.came.acquire(timeout=10.0)


def test_a_standstill_is_reported_with_its_stack(row: Row, reports: Reports, log: logging.Logger) -> None:
    """The report shows the frame that the watched thread is in."""
    beat(row)
    with Watchdog(row, time.monotonic, log, PATIENCE):
        assert hold_up(reports)

    assert "nothing else runs in this worker" in reports.texts[0]
    assert "in hold_up" in reports.texts[0]


def test_each_standstill_is_reported_once(row: Row, reports: Reports, log: logging.Logger) -> None:
    """Nothing is repeated while it lasts; when the heart has beaten in between, there is another report."""
    now = 1.0
    looked = threading.Semaphore(0)

    def clock() -> float:
        looked.release()
        return now

    row[Column.BEAT] = int(0.25e9)
    with Watchdog(row, clock, log, 0.001):
        assert hold_up(reports)
        for _ in range(5):
            assert looked.acquire(timeout=10.0)
        assert len(reports.texts) == 1
        row[Column.BEAT] = int(0.5e9)
        assert hold_up(reports)

    assert len(reports.texts) == 2


def test_a_beating_heart_is_not_reported(row: Row, reports: Reports, log: logging.Logger) -> None:
    """While beats come, the watchdog looks and says nothing."""
    looked = threading.Semaphore(0)

    def clock() -> float:
        row[Column.BEAT] = int(5e9)
        looked.release()
        return 5.0

    row[Column.BEAT] = int(5e9)
    with Watchdog(row, clock, log, 0.001):
        for _ in range(5):
            assert looked.acquire(timeout=10.0)

    assert reports.texts == []


def test_greenlets_that_wait_in_one_place_are_counted(row: Row, reports: Reports, log: logging.Logger) -> None:
    """The report has one stack for all that wait in the same place, and how many they are."""

    def wait_here() -> None:
        here.switch()

    here = getcurrent()
    waiting = [greenlet(wait_here) for _ in range(3)]
    for each in waiting:
        each.switch()
    beat(row)
    with Watchdog(row, time.monotonic, log, PATIENCE):
        assert hold_up(reports)
    for each in waiting:
        each.switch()

    assert "3 waiting here:" in reports.texts[0]
    assert "in wait_here" in reports.texts[0]


def test_no_patience_no_watch(row: Row, reports: Reports, log: logging.Logger) -> None:
    """A patience of 0 turns it off: no thread is started."""
    threads = threading.active_count()
    with Watchdog(row, time.monotonic, log, 0.0):
        assert threading.active_count() == threads

    assert reports.texts == []

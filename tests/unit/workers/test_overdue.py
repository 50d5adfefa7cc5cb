"""Jobs past their deadlines, where nothing can interrupt them."""

from __future__ import annotations

import logging
import threading

import pytest

from workerkit.net.job_deadline import JobDeadlines
from workerkit.workers.overdue import REASON, Overseer

LOG = logging.getLogger("test.overdue")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_overdue_job_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log has what it is, how long it runs and where it is; the worker is to be replaced."""
    clock, reasons = Clock(), list[str]()
    deadlines = JobDeadlines(5.0, clock)
    overseer = Overseer(deadlines, LOG, reasons.append)
    deadlines.begin(lambda: "GET /slow")

    overseer.look(clock.now + 4.9)
    assert not caplog.records
    overseer.look(clock.now + 5.0)
    overseer.look(clock.now + 6.0)

    [record] = caplog.records
    assert "GET /slow runs for 5.0 s, past its deadline" in record.getMessage()
    assert "in test_an_overdue_job_is_told_of_once" in record.getMessage()
    assert reasons == [REASON]


def test_a_job_that_puts_its_deadline_off_is_let_be() -> None:
    """What was extended is overdue later."""
    clock = Clock()
    deadlines = JobDeadlines(5.0, clock)
    deadline = deadlines.begin(str)
    deadline.extend(10.0)

    assert not deadlines.overdue(clock.now + 14.9)
    assert deadlines.overdue(clock.now + 15.0) == [deadline]


def test_the_overseer_looks_while_all_others_wait() -> None:
    """It has a thread of its own, which ends when it is told to."""
    told = threading.Event()
    deadlines = JobDeadlines(0.01, Clock())
    overseer = Overseer(deadlines, LOG, lambda _reason: told.set())
    deadlines.begin(str).at = 0.0
    overseer.start()

    assert told.wait(10.0)
    overseer.stop()

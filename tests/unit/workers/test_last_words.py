"""What a worker says when it is aborted."""

from __future__ import annotations

import os
import signal
from typing import Any

from crew import Crew

from workerkit.process.messages import Ready
from workerkit.workers.base import Worker


class Waits(Worker):
    """Runs until it is killed."""

    def describe_jobs(self) -> list[str]:
        return ["GET /slow from 192.0.2.7, for 30.0 s"]

    def describe_waiting(self) -> str:
        return "2 waiting here"

    def run(self) -> None:
        self.wait_for_ever()

    def wait_for_ever(self) -> None:
        while True:
            signal.pause()


def test_an_aborted_worker_tells_what_it_does(crew: Crew) -> None:
    """The log has the stacks of its threads, the requests that it runs and the greenlets that wait."""
    pid = crew.spawn(Waits)
    assert crew.await_message() == Ready()
    os.kill(pid, signal.SIGABRT)

    assert crew.exit_code(pid) == 1
    assert "in live" in crew.log
    assert "Requests that ran or waited to run:\n  GET /slow from 192.0.2.7, for 30.0 s\n" in crew.log
    assert "Greenlets that waited:\n2 waiting here\n" in crew.log


def test_a_worker_that_crashes_shows_where(crew: Crew) -> None:
    """SIGSEGV leaves the stacks in the log, and the worker dies of it."""
    pid = crew.spawn(Waits)
    assert crew.await_message() == Ready()
    os.kill(pid, signal.SIGSEGV)

    assert crew.exit_code(pid) == -signal.SIGSEGV
    assert "in live" in crew.log


def test_nothing_that_goes_wrong_keeps_it_from_ending(crew: Crew) -> None:
    """A worker that cannot tell what it does ends all the same."""

    class Broken(Waits):
        def describe_jobs(self) -> list[Any]:
            raise RuntimeError("in the midst of a change")

    pid = crew.spawn(Broken)
    assert crew.await_message() == Ready()
    os.kill(pid, signal.SIGABRT)

    assert crew.exit_code(pid) == 1


def test_faults_follow_the_log(crew: Crew) -> None:
    """After the log was reopened, stacks are written to the new file."""

    class Reopens(Waits):
        def run(self) -> None:
            os.rename(crew.folder / "error.log", crew.folder / "old.log")
            self.context.logs.reopen()
            os.kill(os.getpid(), signal.SIGSEGV)

    pid = crew.spawn(Reopens)

    assert crew.exit_code(pid) == -signal.SIGSEGV
    assert "in run" in crew.log

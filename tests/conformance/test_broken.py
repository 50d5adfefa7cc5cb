"""The conformance kit notices each fault, and says which promise was broken."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

BROKEN = Path(__file__).parent / "broken.py"

FAULTS = {
    "ignores_drain": "test_request_in_flight_is_finished",
    "ignores_quit": "test_quick_stop_of_an_idle_worker",
    "leaks_descriptors": "test_no_descriptor_is_left_open",
    "leaks_memory": "test_memory_does_not_grow",
    "forgets_heartbeat": "test_its_heart_beats_while_idle",
    "never_ready": "test_it_boots_and_serves",
    "drops_in_flight": "test_request_in_flight_is_finished",
    "miscounts": "test_requests_are_counted",
    "forgets_failures": "test_failures_are_counted",
    "starves_newcomers": "test_a_busy_client_starves_nobody",
    "closes_kept_connections": "test_connection_is_kept",
    "closes_idle_connections_at_once": "test_idle_connection_gets_a_moment",
    "ignores_deadlines": "test_idle_connection_is_closed",
    "runs_jobs_twice": "test_calls_are_run",
    "closes_twice": "test_a_connection_is_closed_once",
    "waits_for_everybody": "test_half_a_head_holds_nobody_up",
    "ignores_cap": "test_the_cap_on_connections",
    "dies_of_hup": "test_signals_that_are_not_a_workers_business",
}


def check_fact(worker: str, fact: str) -> str:
    """Return what pytest says about one fact and one worker class."""
    words = ["--pyargs", "workerkit.testing", "--worker", worker, "--worker-plugin", str(BROKEN)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "--tb=line", "-p", "no:cacheprovider", *words, "-k", f"{fact}["],
        cwd=BROKEN.parent,
        env={**os.environ, "WORKERKIT_TESTING_DEADLINE": "3", "COLUMNS": "400"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Future[str]]:
    """What the kit says about each class, a few at a time: they mostly wait for what does not happen."""
    with ThreadPoolExecutor(3) as threads:
        return {worker: threads.submit(check_fact, worker, fact) for worker, fact in FAULTS.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("worker", FAULTS)
def test_fault_is_caught(verdicts: dict[str, Future[str]], worker: str) -> None:
    """A class with a fault fails the fact about it, and the report begins with the promise."""
    from workerkit.testing import WorkerContract

    promise = getattr(WorkerContract, FAULTS[worker]).__doc__
    report = verdicts[worker].result()

    assert f"Broken promise of the worker class '{worker}': {promise}" in report, report


@pytest.mark.timeout(60)
def test_what_is_whole_passes() -> None:
    """A class without a fault holds one of the same facts, checked in the same way."""
    assert "1 passed" in check_fact("sync", "test_request_in_flight_is_finished")

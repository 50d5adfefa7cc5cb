"""What the end of a process means: facts in, a meaning out."""

from __future__ import annotations

import pytest

from workerkit.arbiter.deaths import Death, Meaning, meaning
from workerkit.arbiter.table import DEFAULT_POOL, Role, WorkerHandle
from workerkit.process.messages import BootFailed

BROKEN = BootFailed("the code is broken", "", 3)


def death(generation: int = 1, *, ready: bool = True, **facts: object) -> Death:
    handle = WorkerHandle(Role.WORKER, DEFAULT_POOL, 0, 0, generation, spawned_at=1.0, pid=17)
    handle.ready_at = 2.0 if ready else None
    return Death(handle, "exited with code 1", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("end", "wanted", "proven", "others", "expected"),
    [
        # In quiet times.
        (death(was_told=True), 1, 1, True, Meaning.LEFT),
        (death(), 1, 1, True, Meaning.CRASHED),
        (death(ready=False, failure=BROKEN), 1, 1, False, Meaning.CRASHED),
        (death(ready=False, not_forked=True), 1, 1, True, Meaning.NOT_FORKED),
        # At the start.
        (death(ready=False, failure=BROKEN), 1, None, True, Meaning.HOPELESS),
        (death(ready=False), 1, None, True, Meaning.CRASHED),
        (death(ready=False), 1, None, False, Meaning.HOPELESS),
        (death(ready=False, not_forked=True), 1, None, False, Meaning.NOT_FORKED),
        # While a reload is under way.
        (death(2, ready=False, failure=BROKEN), 2, 1, True, Meaning.GIVE_UP),
        (death(2, ready=False), 2, 1, True, Meaning.GIVE_UP),
        (death(2, ready=False, not_forked=True), 2, 1, True, Meaning.NOT_FORKED),
        (death(2), 2, 1, True, Meaning.CRASHED),
        (death(1), 2, 1, True, Meaning.CRASHED),
        (death(1, ready=False, failure=BROKEN), 2, 1, True, Meaning.CRASHED),
        (death(1, ready=False, failure=BROKEN), 2, None, True, Meaning.OBSOLETE),
        # After it was given up, or superseded.
        (death(2, ready=False, failure=BROKEN), 1, 1, True, Meaning.OBSOLETE),
        (death(2, ready=False, failure=BROKEN), 3, 1, True, Meaning.OBSOLETE),
        (death(2, was_told=True), 1, 1, True, Meaning.LEFT),
    ],
)
def test_what_an_end_means(end: Death, wanted: int, proven: int | None, others: bool, expected: Meaning) -> None:
    """Only a worker of the new release that never was ready speaks against that release."""
    assert meaning(end, wanted, proven, others=others) is expected

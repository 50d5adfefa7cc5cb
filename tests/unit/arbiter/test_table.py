"""The process table: events in, facts out."""

from __future__ import annotations

import pytest

from workerkit.arbiter.table import (
    DEFAULT_POOL,
    AskedToRetire,
    Booted,
    Exited,
    Identified,
    ProcessTable,
    Role,
    Spawned,
    StopOrdered,
    WorkerHandle,
)
from workerkit.process.states import TRANSITIONS, Change, State, diagram


def table_with(*slots: int) -> ProcessTable:
    table = ProcessTable()
    for slot in slots:
        table.apply(Spawned(WorkerHandle(Role.WORKER, DEFAULT_POOL, slot, slot, 1, spawned_at=1.0)))
    return table


def test_a_life_runs_through_the_states() -> None:
    """A worker boots, serves, drains and is gone."""
    table = table_with(0)
    handle = table.get(0)
    assert handle is not None
    assert handle.state is State.BOOTING

    table.apply(Identified(0, 4711))
    table.apply(Booted(0, at=2.0))
    assert (handle.state, handle.pid, handle.ready_at) == (State.READY, 4711, 2.0)

    table.apply(AskedToRetire(0, "100 requests"))
    assert (handle.state, handle.retiring) == (State.READY, "100 requests")

    table.apply(StopOrdered(0, deadline=9.0))
    assert (handle.state, handle.stop_deadline) == (State.DRAINING, 9.0)

    table.apply(Exited(0))
    assert handle.state is State.GONE
    assert len(table) == 0


def test_a_ready_message_that_crossed_the_order_to_stop_changes_nothing() -> None:
    """A worker that was told to leave while it booted stays on its way out."""
    table = table_with(0)
    table.apply(StopOrdered(0, deadline=9.0))
    table.apply(Booted(0, at=2.0))

    assert [handle.state for handle in table] == [State.DRAINING]


def test_what_cannot_happen_is_an_error() -> None:
    """A worker cannot become ready twice."""
    table = table_with(0)
    table.apply(Booted(0, at=2.0))

    with pytest.raises(KeyError):
        table.apply(Booted(0, at=3.0))


def test_the_lowest_free_slot_is_used_again() -> None:
    """Slots stay low and stable, so that metrics and applications can use them."""
    table = table_with(0, 1, 2)
    table.apply(Exited(1))

    assert table.free_slot() == 1


def test_every_state_can_end_without_warning() -> None:
    """A process may be killed at any moment."""
    assert {state for state in State if Change.EXITED in TRANSITIONS[state]} == set(State) - {State.GONE}


def test_the_diagram_shows_every_transition() -> None:
    """The picture in the docs is drawn from the table."""
    lines = diagram().splitlines()

    assert "    booting --> ready: booted" in lines
    assert len(lines) == 3 + sum(len(changes) for changes in TRANSITIONS.values())


def test_a_handle_names_itself_in_logs() -> None:
    """Every log line about a process gives it the same name."""
    handle = WorkerHandle(Role.WORKER, DEFAULT_POOL, 3, 1, 1, spawned_at=0.0, pid=12)

    assert str(handle) == "worker 1 (pid: 12)"
    assert str(WorkerHandle(Role.MOLD, "jobs", 0, -1, 1, 0.0, pid=9)) == "mold of jobs (pid: 9)"

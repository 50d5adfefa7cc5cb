"""The life of a worker process, as a table.

``TRANSITIONS[state][change]`` is the next state; a missing key is a bug and raises ``KeyError``. The diagram in
docs/explanation/architecture.md is drawn from this table (``python -m workerkit.process.states``), so change both
by changing this one.

Two rules behind it. A worker that asked to retire is still ``READY``: it serves until its successor is ready. And
every state can end in ``GONE`` without warning, since a process may be killed at any moment.
"""

from __future__ import annotations

import enum


class State(enum.IntEnum):
    """Where a worker is; the value stands in its scoreboard row."""

    BOOTING = 1
    READY = 2
    DRAINING = 3
    GONE = 4


class Change(enum.Enum):
    """What can happen to a worker, as the arbiter sees it."""

    BOOTED = "booted"
    STOP_ORDERED = "stop ordered"
    EXITED = "exited"


TRANSITIONS: dict[State, dict[Change, State]] = {
    State.BOOTING: {
        Change.BOOTED: State.READY,
        Change.STOP_ORDERED: State.DRAINING,
        Change.EXITED: State.GONE,
    },
    State.READY: {
        Change.STOP_ORDERED: State.DRAINING,
        Change.EXITED: State.GONE,
    },
    State.DRAINING: {
        # The message was under way when the order left.
        Change.BOOTED: State.DRAINING,
        # A graceful stop can be followed by a quick one.
        Change.STOP_ORDERED: State.DRAINING,
        Change.EXITED: State.GONE,
    },
    State.GONE: {},
}


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> booting"]
    lines += [
        f"    {state.name.lower()} --> {after.name.lower()}: {change.value}"
        for state, changes in TRANSITIONS.items()
        for change, after in changes.items()
    ]
    return "\n".join([*lines, "    gone --> [*]"])


if __name__ == "__main__":
    print(diagram())  # noqa: T201  this module is also the command that draws it

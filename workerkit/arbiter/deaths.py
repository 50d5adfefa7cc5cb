"""What the end of a process means. Pure: facts in, a meaning out."""

from __future__ import annotations

import enum

from workerkit.arbiter.table import WorkerHandle
from workerkit.process.messages import BootFailed
from workerkit.records import Record


class Death(Record):
    """The end of one process, as far as it can be told from outside."""

    handle: WorkerHandle
    how: str
    """For the log: ``exited with code 1``."""
    failure: BootFailed | None = None
    """Its last words."""
    was_told: bool = False
    """It had been told to leave."""
    not_forked: bool = False
    """It never came to be: a mold could not fork it."""


class Meaning(enum.Enum):
    """What is to be done about it; whoever is missing is replaced by the plan in any case."""

    LEFT = "it did as it was told"
    NOT_FORKED = "there was no process to be had; try again soon"
    HOPELESS = "nothing has ever served, and the same would happen again: end the arbiter"
    GIVE_UP = "the new generation does not boot: go back to the one before"
    OBSOLETE = "it was of a generation that has been given up already"
    CRASHED = "replace it, under the restart budget"


def meaning(death: Death, wanted: int, proven: int | None, *, others: bool) -> Meaning:
    """Return what a death means.

    Args:
        death: What happened.
        wanted: The generation that is wanted now.
        proven: The one that is known to serve, to which a reload can go back; None: there is none yet.
        others: Whether other processes of the pool live, which may still become ready.
    """
    handle = death.handle
    never_ready = handle.ready_at is None
    if death.not_forked:
        return Meaning.NOT_FORKED
    if death.was_told and death.failure is None:
        return Meaning.LEFT
    if never_ready and handle.generation not in (wanted, proven):
        return Meaning.OBSOLETE
    if proven is None:
        hopeless = death.failure is not None or (never_ready and not others)
        return Meaning.HOPELESS if hopeless else Meaning.CRASHED
    if never_ready and handle.generation != proven:
        return Meaning.GIVE_UP
    return Meaning.CRASHED

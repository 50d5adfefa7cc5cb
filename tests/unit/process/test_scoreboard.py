"""The scoreboard: numbers that every process sees."""

from __future__ import annotations

import os

from workerkit.process.fork import fork
from workerkit.process.scoreboard import ROWS, Column, Scoreboard


def test_a_child_writes_and_its_parent_reads() -> None:
    """The memory is shared with processes that are forked later."""
    board = Scoreboard(rows=4)

    def child() -> int:
        board.row(2)[Column.REQUESTS] = 2**40
        return 0

    os.waitpid(fork(child), 0)

    assert board.row(2)[Column.REQUESTS] == 2**40
    assert board.row(1)[Column.REQUESTS] == board.row(3)[Column.REQUESTS] == 0


def test_every_slot_has_a_row_of_its_own() -> None:
    """The first, the last and a middle row do not overlap."""
    board = Scoreboard()
    for slot in (0, 500, ROWS - 1):
        for column in Column:
            board.row(slot)[column] = slot * 100 + column

    for slot in (0, 500, ROWS - 1):
        assert [board.row(slot)[column] for column in Column] == [slot * 100 + column for column in Column]


def test_a_row_is_taken_empty() -> None:
    """The next process of a slot begins with zeros."""
    board = Scoreboard(rows=2)
    for column in Column:
        board.row(1)[column] = 9

    row = board.take(1)

    assert [row[column] for column in Column] == [0] * len(Column)


def test_the_totals_include_the_dead() -> None:
    """What a worker counted before its row was used again stays in the totals; what it was doing does not."""
    board = Scoreboard(rows=2)
    board.row(0)[Column.REQUESTS] = 10
    board.row(0)[Column.FAILURES] = 3
    board.row(0)[Column.ACCEPTED] = 7
    board.row(0)[Column.BUSY] = 1
    board.row(1)[Column.REQUESTS] = 5

    board.take(0)[Column.REQUESTS] = 2

    assert board.total(Column.REQUESTS) == 17
    assert board.total(Column.FAILURES) == 3
    assert board.total(Column.ACCEPTED) == 7
    assert board.total(Column.BUSY) == 0


def test_a_heartbeat_is_told_in_seconds() -> None:
    """The cell holds nanoseconds, the property seconds; before the first beat it is 0."""
    row = Scoreboard(rows=1).row(0)
    assert row.beat == 0.0

    row[Column.BEAT] = 1_500_000_000

    assert row.beat == 1.5

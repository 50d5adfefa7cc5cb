"""A short attack of each kind, and what the reading of slowhttptest's report makes of it."""

from __future__ import annotations

import csv

import pytest

from benchmarks.fleet import Sample
from tests.slow.attack import ATTACKS, PROGRAM, Account, Attack, account_of
from tests.slow.scenario import served
from tests.slow.stolen import stolen, undisturbed

REPORT = """\
Seconds,Closed,Pending,Connected,Service Available
0,0,1,0,20
1,0,10,10,20
2,0,0,20,0
3,19,0,1,20
4,20,0,0,20
"""

TIMES = [(0.0, 0.1), (0.9, 1.1), (1.1, 1.2), (0.9, 1.5), (1.3, 1.4), (5.2, 5.3)]


@pytest.mark.program(PROGRAM)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_others_are_served_during_an_attack(attack: Attack) -> None:
    """All attackers get their connections, none of the others' requests fails, and nothing is left when they go."""
    failed = []

    def check(what: str, measured: str, required: str, holds: bool) -> None:
        # How long a request took is for the command: beside other tests it says nothing.
        if not holds and not what.startswith("p99"):
            failed.append(f"{what}: {measured}, required: {required}")

    with served("sync") as target:
        target.endure(attack, seconds=3, connections=50, check=check, alone=False)

    assert failed == []


def test_requests_that_met_a_stolen_moment_are_not_timed() -> None:
    """Neither one that lasted into it, nor one that was due in it; all others are."""
    spans = [(1.0, 1.25), (5.0, 5.25)]
    samples = [Sample(due, due, done, slow=False, failure="") for due, done in TIMES]

    assert [sample.due for sample in undisturbed(samples, spans)] == [0.0, 1.3]


def test_stolen_ticks_are_read() -> None:
    """Of the cores that were asked for, and of no other whose name begins alike."""
    lines = ["cpu  9 9 9 9 9 9 9 700 0 0", "cpu1 1 2 3 4 5 6 7 8 0 0", "cpu11 1 2 3 4 5 6 7 50 0 0", "intr 1 2 3", ""]

    assert (stolen([1], "\n".join(lines)), stolen([1, 11], "\n".join(lines))) == (8, 58)


def test_report_is_read() -> None:
    """The most connections at once, and the seconds without an answer."""
    rows = list(csv.DictReader(REPORT.splitlines()))

    assert account_of(rows) == Account(peak=20, unavailable=1)
    assert account_of([]) == Account(peak=0, unavailable=0)

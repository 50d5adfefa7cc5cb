"""A short attack of each kind, and what the reading of slowhttptest's report makes of it."""

from __future__ import annotations

import csv

import pytest

from tests.slow.attack import ATTACKS, PROGRAM, Account, Attack, account_of
from tests.slow.scenario import served

REPORT = """\
Seconds,Closed,Pending,Connected,Service Available
0,0,1,0,20
1,0,10,10,20
2,0,0,20,0
3,19,0,1,20
4,20,0,0,20
"""


@pytest.mark.program(PROGRAM)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_others_are_served_during_an_attack(attack: Attack) -> None:
    """All attackers get their connections, none of the others' requests fails, and nothing is left when they go."""
    failed = []

    def check(what: str, measured: str, required: str, holds: bool) -> None:
        # How long a request took is for the command: beside other tests it says nothing.
        if not holds and not what.startswith("p99"):
            failed.append(f"{what}: {measured}, required: {required}")

    with served("sync") as target, served("sync") as bystander:
        target.endure(attack, bystander, seconds=3, connections=50, check=check)

    assert failed == []


def test_report_is_read() -> None:
    """The most connections at once, and the seconds without an answer."""
    rows = list(csv.DictReader(REPORT.splitlines()))

    assert account_of(rows) == Account(peak=20, unavailable=1)
    assert account_of([]) == Account(peak=0, unavailable=0)

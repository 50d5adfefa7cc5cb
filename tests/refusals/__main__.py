"""The table of cases by worker classes: ``python -m tests.refusals [-k PATTERN] [CLASS...]``.

Without names, every worker class that is installed. Ends with 0 if every case passed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.refusals.case import Case
from tests.refusals.catalog import GROUPS
from tests.refusals.dialogue import Mismatch
from tests.refusals.wire import Target
from workerkit.testing.table import installed

PASSED, FAILED = "pass", "FAIL"
_NAME, _SOURCE = 62, 20

Groups = dict[str, list[Case]]


def main(words: Sequence[str] | None = None) -> int:
    """Try all cases on all classes, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.refusals", description=__doc__)
    parser.add_argument("worker", nargs="*", metavar="CLASS")
    parser.add_argument("-k", dest="pattern", default="", metavar="PATTERN", help="only cases whose line matches")
    given = parser.parse_args(words)
    workers = given.worker or installed()
    groups = _chosen(given.pattern)
    failures = {worker: _failures(worker, groups) for worker in workers}
    print("\n".join(_lines(groups, failures)))
    for worker, found in failures.items():
        for (group, name), what in found.items():
            print(f"{worker}: {group}: {name}: {what}", file=sys.stderr)
    return 1 if any(failures.values()) else 0


def _chosen(pattern: str) -> Groups:
    chosen = {
        title: [case for case in cases if re.search(pattern, f"{title}: {case.name} ({case.source})")]
        for title, cases in GROUPS.items()
    }
    return {title: cases for title, cases in chosen.items() if cases}


Failures = dict[tuple[str, str], str]


def _failures(worker: str, groups: Groups) -> Failures:
    failures: Failures = {}
    with tempfile.TemporaryDirectory() as folder:
        target = Target(worker, Path(folder))
        try:
            for title, cases in groups.items():
                for case in cases:
                    try:
                        target.try_out(case)
                    except Mismatch as mismatch:
                        failures[title, case.name] = str(mismatch)
        finally:
            try:
                target.close()
            except AssertionError as error:
                failures["Server", "ends as it should"] = str(error).partition("\n")[0]
    return failures


def _lines(groups: Groups, failures: dict[str, Failures]) -> list[str]:
    widths = {worker: max(len(worker), len(FAILED)) for worker in failures}
    titles = "  ".join(f"{worker:{width}}" for worker, width in widths.items())
    lines = [f"{'':{_NAME}}  {'':{_SOURCE}}  {titles}".rstrip()]
    for title, cases in groups.items():
        lines.append(title.upper())
        for case in cases:
            cells = "  ".join(
                f"{FAILED if (title, case.name) in failures[worker] else PASSED:{width}}"
                for worker, width in widths.items()
            )
            lines.append(f"{case.name:{_NAME}}  {case.source:{_SOURCE}}  {cells}".rstrip())
    total = sum(map(len, groups.values()))
    passed = ", ".join(
        f"{worker} {total - sum(title in groups for title, _ in found)} of {total}"
        for worker, found in failures.items()
    )
    return [*lines, "", f"{total} cases; passed: {passed}"]


if __name__ == "__main__":
    sys.exit(main())

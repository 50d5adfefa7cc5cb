"""The conformance table: ``python -m workerkit.testing.table NAME...`` checks every fact and prints facts by workers.

Without names, every worker class that is installed and has what it requires. Ends with 0 if every promise was kept.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import pytest

from workerkit.assembly import worker_class
from workerkit.plugins import WORKERS, available
from workerkit.plugins.requirements import missing_modules
from workerkit.testing.promises import promise_of

KEPT, BROKEN, NOT_APPLICABLE = "kept", "BROKEN", "-"
_WIDTH = 96


class Verdicts:
    """A pytest plugin that takes note of how each fact ended."""

    def __init__(self) -> None:
        self.promises: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.found: dict[str, dict[str, str]] = {}
        self.failures: list[str] = []

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Take note of what will be checked."""
        for item in items:
            fact = _fact_of(item.nodeid)
            self.promises.setdefault(fact, promise_of(item))
            function = getattr(item, "function", None)
            self.groups.setdefault(fact, getattr(function, "__module__", "").rpartition(".")[2])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of one outcome; a fact with several cases is kept if all are."""
        verdicts = self.found.setdefault(_fact_of(report.nodeid), {})
        worker = _worker_of(report.nodeid)
        if report.failed:
            verdicts[worker] = BROKEN
            self.failures.append(report.longreprtext)
        elif report.skipped:
            verdicts.setdefault(worker, NOT_APPLICABLE)
        elif report.when == "call" and verdicts.get(worker) != BROKEN:
            verdicts[worker] = KEPT

    def lines(self, workers: Sequence[str]) -> list[str]:
        """Return the table."""
        widths = [max(len(worker), len(BROKEN)) for worker in workers]
        titles = [f"{name:{width}}" for name, width in zip(workers, widths, strict=True)]
        lines = ["  ".join([f"{'':{_WIDTH}}", *titles]).rstrip()]
        group = ""
        for fact, verdicts in self.found.items():
            if self.groups[fact] != group:
                group = self.groups[fact]
                lines.append(group.upper())
            cells = [f"{verdicts.get(name, ''):{width}}" for name, width in zip(workers, widths, strict=True)]
            lines.append("  ".join([f"{_shortened(self.promises[fact]):{_WIDTH}}", *cells]).rstrip())
        return lines

    def summary(self, workers: Sequence[str]) -> str:
        """Return the last line: how many facts each class holds."""
        counts = []
        for name in workers:
            verdicts = [found.get(name, "") for found in self.found.values()]
            counts.append(f"{name} {verdicts.count(KEPT)} of {len(verdicts) - verdicts.count(NOT_APPLICABLE)}")
        return f"{len(self.found)} facts; kept, of those that apply: {', '.join(counts)}"


def _fact_of(nodeid: str) -> str:
    return nodeid.rpartition("::")[2].partition("[")[0]


def _worker_of(nodeid: str) -> str:
    """Return the worker class of ``file::class::fact[NAME-case]``; names come before a case."""
    return _names_by_case(nodeid.partition("[")[2].rstrip("]"))


def _names_by_case(case: str) -> str:
    return next((name for name in _checked if case == name or case.startswith(f"{name}-")), case)


_checked: list[str] = []


def _shortened(promise: str) -> str:
    return promise if len(promise) <= _WIDTH else f"{promise[: _WIDTH - 1].rstrip()}…"


def installed() -> list[str]:
    """Return the names of the worker classes that could be run here, each class once."""
    found: dict[type, str] = {}
    for plugin in available(WORKERS):
        cls = worker_class(f"{plugin.distribution}#{plugin.name}")
        if not missing_modules(cls.requires) and (cls not in found or cls.__name__.lower().startswith(plugin.name)):
            found[cls] = plugin.name
    return sorted(found.values())


def main(words: Sequence[str] | None = None) -> int:
    """Check, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m workerkit.testing.table", description=__doc__)
    parser.add_argument("worker", nargs="*", metavar="NAME")
    parser.add_argument("--worker-plugin", action="append", default=[], metavar="FILE")
    parser.add_argument("-k", dest="facts", default="", metavar="EXPRESSION", help="only facts that match")
    given = parser.parse_args(words)
    workers = given.worker or installed()
    _checked[:] = workers
    verdicts = Verdicts()
    options = [f"--worker={name}" for name in workers] + [f"--worker-plugin={file}" for file in given.worker_plugin]
    # The settings of the project that it is called in are for that project's tests.
    options += ["-c", os.devnull, "--rootdir", os.curdir, "-k", given.facts]
    code = pytest.main(
        ["--pyargs", "workerkit.testing", "-p", "no:terminal", "-p", "no:cacheprovider", *options], plugins=[verdicts]
    )
    print("\n".join([*verdicts.lines(workers), "", verdicts.summary(workers)]))  # noqa: T201  it is what was asked for
    for failure in verdicts.failures:
        print(f"\n{failure}", file=sys.stderr)  # noqa: T201  the same
    return int(code)


if __name__ == "__main__":
    sys.exit(main())

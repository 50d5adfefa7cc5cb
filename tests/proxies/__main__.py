"""The table of proxies by worker classes: ``python -m tests.proxies [-k PATTERN] [CLASS...]``.

Without names, every worker class that is installed. Sends every payload through every proxy that is installed, and
prints how many of them left nothing behind. Ends with 0 if all did.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.proxies.fronts import KINDS
from tests.proxies.payloads import PAYLOADS
from tests.proxies.trial import Outcome, try_out
from workerkit.testing.table import installed

_COLUMNS = ("proxy", "class", "payloads", "pass", "passed on", "kept back", "seen", "refused", "connections shared")


def main(words: Sequence[str] | None = None) -> int:
    """Try everything, print a line for each pair as it is known, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.proxies", description=__doc__)
    parser.add_argument("worker", nargs="*", metavar="CLASS")
    parser.add_argument("-k", dest="pattern", default="", metavar="PATTERN", help="only payloads whose name matches")
    given = parser.parse_args(words)
    payloads = [payload for payload in PAYLOADS if re.search(given.pattern, payload.name)]
    kinds = [kind for kind in KINDS if shutil.which(kind.program)]
    for missing in sorted({kind.program for kind in KINDS} - {kind.program for kind in kinds}):
        print(f"{missing} is not installed", file=sys.stderr)
    print(_row(_COLUMNS), flush=True)
    failed = False
    for worker in given.worker or installed():
        for kind in kinds:
            with tempfile.TemporaryDirectory() as folder:
                outcome = try_out(kind, worker, payloads, Path(folder))
            print(_row((kind.name, worker, *_cells(outcome))), flush=True)
            failed = failed or bool(outcome.faults)
            for payload, faults in outcome.faults.items():
                for fault in faults:
                    print(f"FAIL: {kind.name}, {worker}: {payload}: {fault}", file=sys.stderr)
    return 1 if failed or not kinds or not payloads else 0


def _cells(outcome: Outcome) -> tuple[object, ...]:
    held = outcome.payloads - len(outcome.faults)
    return (
        outcome.payloads, "pass" if not outcome.faults else f"FAIL ({held})", outcome.forwarded, outcome.kept_back,
        outcome.answered, outcome.refused, outcome.shared,
    )  # fmt: skip


def _row(cells: Sequence[object]) -> str:
    first, second, *others = map(str, cells)
    return f"{first:<20}  {second:<9}  " + "  ".join(f"{cell:>9}" for cell in others)


if __name__ == "__main__":
    sys.exit(main())

"""Checks many streams: ``python -m tests.fuzz [--streams N] [--seed S] [--first I] [--processes P]``.

Ends with 0 if no stream made the parser raise what it must not, hang, grow, or change its mind with the way in which
the bytes were split. A stream that did is named by its number: ``--first NUMBER --streams 1`` is that one again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.fuzz.batches import examine

_BATCH = 5000
_MOST_GROWTH = 20_000
"""Blocks of memory that the second half of a batch may leave behind: the caches are full by then."""


def main(words: Sequence[str] | None = None) -> int:
    """Check, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--streams", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--first", type=int, default=0, metavar="I")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), metavar="P")
    given = parser.parse_args(words)
    starts = range(given.first, given.first + given.streams, _BATCH)
    sizes = [min(_BATCH, given.first + given.streams - start) for start in starts]
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        reports = list(pool.map(examine, [given.seed] * len(sizes), starts, sizes))
    events = sum((report.events for report in reports), Counter())
    failures = {number: what for report in reports for number, what in report.failures.items()}
    growth = max(report.growth for report in reports)
    print(f"{given.streams} streams, seed {given.seed}: {', '.join(f'{n} {what}' for what, n in events.most_common())}")
    print(f"{len(failures)} failures; the batch that grew most left {growth} objects behind")
    for number, what in sorted(failures.items())[:10]:
        print(f"{number}: {what}", file=sys.stderr)
    return 1 if failures or growth > _MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())

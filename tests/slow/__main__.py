"""slowhttptest against each worker class: ``python -m tests.slow [CLASS...] [--seconds 60] [--connections 500]``.

Slow headers, slow body and slow read, against two workers with default timeouts, while others ask 40 times a second,
half of them on new connections. Prints what was measured beside what is required, and ends with 0 if all holds.

The server has a core of its own; the others share the rest, where clients come first and slowhttptest, which takes all
it can get, comes last. No core sleeps, and a request that met a moment in which the host of a virtual machine took the
server's core away counts, but is not timed: in the attack, and before it alike.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load import allow_open_files
from tests.slow.attack import ATTACKS, PROGRAM, Attack
from tests.slow.cores import kept_awake
from tests.slow.scenario import CORES, NOTHING, served
from workerkit.testing.table import installed

_LONGEST_REST = 30.0


def main(words: Sequence[str] | None = None) -> int:
    """Run the attacks, print each finding as it is known, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.slow", description=__doc__)
    parser.add_argument("worker", nargs="*", metavar="CLASS", help="worker classes; default: all that are installed")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each attack lasts (default: 60)")
    parser.add_argument("--connections", type=int, default=500, help="attackers at once (default: 500)")
    parser.add_argument("-k", default="", metavar="WORD", help="only attacks with this word in their name")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there too")
    given = parser.parse_args(words)
    if shutil.which(PROGRAM) is None:
        print(f"{PROGRAM} is not installed (Debian: apt-get install {PROGRAM})", file=sys.stderr)
        return 1
    # A worker may get all the connections, and slowhttptest has one file open for each.
    allow_open_files(given.connections + 200)
    os.sched_setaffinity(0, CORES.load)
    results: list[bool] = []
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    def endure(worker: str, attack: Attack) -> None:
        def check(what: str, measured: str, required: str, holds: bool) -> None:
            if required == NOTHING:
                verdict = "    "
            else:
                results.append(holds)
                verdict = "pass" if holds else "FAIL"
            tell(f"{verdict}  {worker:<9} {attack.name:<13} {what:<46} {measured:<30} required: {required}")

        with served(worker) as target:
            target.rest(min(given.seconds, _LONGEST_REST))
            target.endure(attack, seconds=given.seconds, connections=given.connections, check=check)

    with kept_awake() as awake:
        if not awake:
            print("Only root can keep the cores awake: latencies differ more than they should.", file=sys.stderr)
        for worker in given.worker or installed():
            for attack in ATTACKS:
                if given.k in attack.name:
                    endure(worker, attack)
    tell(f"\n{sum(results)} of {len(results)} hold")
    if given.output is not None:
        given.output.write_text("\n".join([*lines, ""]))
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

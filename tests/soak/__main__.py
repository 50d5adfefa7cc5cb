"""Disturbs a server of each worker class while clients ask, and prints what was lost beside what may be lost.

    python -m tests.soak                    about half a minute for each class
    python -m tests.soak --long             50 HUPs, 10 USR2 and 30,000 requests for each class
    python -m tests.soak --endurance 1800   also half an hour with a kill each 5 s and a HUP each 30 s
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from tests.soak.scenarios import ALL, LONG, SHORT, Finding

CLASSES = ("sync", "threaded", "gevent", "eventlet")


def main() -> int:
    """Run the scenarios; return 1 if something was lost that may not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("classes", nargs="*", default=CLASSES, metavar="CLASS", help="worker classes; default: all")
    parser.add_argument("--long", action="store_true", help="as often as the documentation's table says")
    parser.add_argument("--endurance", type=float, default=0.0, metavar="SECONDS", help="how long to look for growth")
    parser.add_argument("-k", default="", metavar="WORD", help="only scenarios with this word in their name")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there too")
    arguments = parser.parse_args()
    size = dataclasses.replace(LONG if arguments.long else SHORT, endurance=arguments.endurance)
    findings: list[Finding] = []
    for worker_class in arguments.classes:
        for scenario in ALL:
            if arguments.k not in scenario.__name__:
                continue

            def check(what: str, measured: str, limit: str, holds: bool, worker_class: str = worker_class) -> None:
                finding = Finding(worker_class, what, measured, limit, holds)
                findings.append(finding)
                print(_line(finding), flush=True)

            scenario(worker_class, size, check)
    failed = sum(not finding.holds for finding in findings)
    summary = f"{len(findings) - failed} of {len(findings)} hold"
    print(f"\n{summary}")
    if arguments.output is not None:
        arguments.output.write_text("\n".join([*map(_line, findings), "", summary, ""]))
    return 1 if failed or not findings else 0


def _line(finding: Finding) -> str:
    verdict = "pass" if finding.holds else "FAIL"
    return f"{verdict}  {finding.worker_class:<9} {finding.what:<42} {finding.measured:<24} required: {finding.limit}"


if __name__ == "__main__":
    sys.exit(main())

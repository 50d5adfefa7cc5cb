"""The command: measures, prints tables, judges, and exits with 1 if a requirement is not met."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import goals, machine, peers, plot, report
from benchmarks.bench import Bench
from benchmarks.environment import prepare
from benchmarks.scenarios import SCENARIOS

IN_ALL = tuple(name for name in SCENARIOS if name != "matrix")
EPILOG = """\
The servers are installed on first use, into .benchmarks/venv. The system has to have wrk, and for bjoern a C
compiler and libev's headers (Debian: apt-get install wrk gcc libev-dev). A server that cannot be installed or
started stays in the table, with the reason. For figures that mean something, leave the machine alone.
"""


def main() -> int:
    arguments = _parser().parse_args()
    chosen = tuple(arguments.peers)
    environment = prepare(chosen or peers.PEERS, _say)
    facts = machine.facts()
    _print_facts(facts, environment.versions)
    bench = Bench(environment, _say, chosen, arguments.rounds, arguments.seconds)
    tables = _measure(bench, IN_ALL if arguments.scenario == "all" else (arguments.scenario,))
    verdicts = _judge(tables, arguments.goal, {peer.name for peer in chosen})
    print("", *(verdict.describe() for verdict in verdicts), sep="\n")
    if arguments.json:
        arguments.json.write_text(report.as_json(facts, environment.versions, tables, verdicts))
    if arguments.plot:
        arguments.plot.write_text(plot.bars(tables[0], "cpu_us", tables[0].title))
    return 0 if all(verdict.met for verdict in verdicts) else 1


def _measure(bench: Bench, names: Iterable[str]) -> list[report.Table]:
    """Run the scenarios, and print each table as soon as it is there."""
    tables = []
    for name in names:
        tables.append(SCENARIOS[name](bench))
        print(f"\n{report.render(tables[-1])}", flush=True)
    return tables


def _judge(tables: Sequence[report.Table], level: str, chosen: set[str]) -> list[goals.Verdict]:
    """Judge the goals of the scenarios that ran; when the user chose peers, only goals about these."""
    verdicts = []
    for goal in goals.GOALS:
        about = {figure.peer for figure in goal.figures if figure.peer in peers.NAMES}
        if goal.level == level and (not chosen or about <= chosen):
            verdicts += [goal.judge(table.rows) for table in tables if table.scenario == goal.scenario]
    return verdicts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures workerkit beside other servers, and judges what was measured.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    levels = sorted({goal.level for goal in goals.GOALS})
    add = parser.add_argument
    add("scenario", choices=[*SCENARIOS, "all"], help="what to measure; all: everything but the matrix")
    add("--peers", type=peers.matching, default=[], metavar="A,B", help="only these servers")
    add("--rounds", type=int, metavar="N", help="how often each server is measured, in turn")
    add("--seconds", type=float, metavar="S", help="how long each measurement takes")
    add("--goal", choices=levels, default="base", help="which requirements to judge (default: base)")
    add("--json", type=Path, metavar="FILE", help="store every round of every row, and the verdicts")
    add("--plot", type=Path, metavar="FILE", help="draw the first table's CPU per request as SVG")
    return parser


def _print_facts(facts: dict[str, str], versions: dict[str, str]) -> None:
    print(", ".join(f"{name}: {value}" for name, value in facts.items()))
    print(", ".join(f"{name} {version}" for name, version in versions.items()), flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

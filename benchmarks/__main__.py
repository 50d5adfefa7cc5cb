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
from benchmarks.served import FOLDER

DEFAULT_LEVEL = "base"
RESULTS = FOLDER / "results"
IN_ALL = tuple(name for name in SCENARIOS if name != "matrix")
SCENARIO_HELP = "what to measure; all: everything but the matrix; without it: what --goal judges, or the matrix"
OUTPUT_HELP = "where tables, plots and, as JSON, every round of every row are stored (default: .benchmarks/results)"
EPILOG = """\
The servers are installed on first use, into .benchmarks/venv. The system has to have wrk, and for bjoern a C
compiler and libev's headers (Debian: apt-get install wrk gcc libev-dev). A server that cannot be installed or
started stays in the table, with the reason. For figures that mean something, leave the machine alone.
"""


def main() -> int:
    arguments = _parser().parse_args()
    chosen = tuple(arguments.peers)
    environment = prepare(chosen or peers.PEERS, _say)
    # What was asked for shorter than usual says so: it is worth less.
    asked = {name: f"{value:g}" for name in ("rounds", "seconds") if (value := getattr(arguments, name)) is not None}
    facts = machine.facts() | asked
    text = [", ".join(f"{name}: {value}" for name, value in facts.items())]
    text += [", ".join(f"{name} {version}" for name, version in environment.versions.items())]
    print(*text, sep="\n", flush=True)
    bench = Bench(environment, _say, chosen, arguments.rounds, arguments.seconds)
    tables = _measure(bench, _scenarios(arguments.scenario, arguments.goal))
    verdicts = _judge(tables, arguments.goal or DEFAULT_LEVEL, {peer.name for peer in chosen})
    judged = "\n".join(verdict.describe() for verdict in verdicts)
    print(f"\n{judged}")
    text += ["", *(f"{report.render(table)}\n" for table in tables), judged]
    _store(arguments.output, text, report.as_json(facts, environment.versions, tables, verdicts), tables)
    return 0 if all(verdict.met for verdict in verdicts) else 1


def _scenarios(scenario: str | None, level: str | None) -> Sequence[str]:
    """Return what to measure: what was asked for, or what the goals of the level are about, or the matrix."""
    if scenario is None and level is not None:
        about = {goal.scenario for goal in goals.GOALS if goal.level == level}
        return [name for name in SCENARIOS if name in about]
    return IN_ALL if scenario == "all" else (scenario or "matrix",)


def _measure(bench: Bench, names: Iterable[str]) -> list[report.Table]:
    """Run the scenarios, and print each table as soon as it is there."""
    tables = []
    for name in names:
        tables.append(SCENARIOS[name](bench))
        print(f"\n{report.render(tables[-1])}", flush=True)
    return tables


def _store(folder: Path, text: Sequence[str], document: str, tables: Iterable[report.Table]) -> None:
    """Keep what was printed, every figure of it as JSON, and the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    (folder / "results.json").write_text(document, encoding="utf-8")
    for table in tables:
        if table.plotted:
            (folder / f"{table.scenario}.svg").write_text(plot.bars(table), encoding="utf-8")
    _say(f"stored in {folder}")


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
    add("scenario", nargs="?", choices=[*SCENARIOS, "all"], help=SCENARIO_HELP)
    add("--peers", type=peers.matching, default=[], metavar="A,B", help="only these servers")
    add("--rounds", type=int, metavar="N", help="how often each server is measured, in turn")
    add("--seconds", type=float, metavar="S", help="how long each measurement takes")
    add("--goal", choices=levels, help=f"which requirements to judge (default: {DEFAULT_LEVEL})")
    add("--output", type=Path, default=RESULTS, metavar="FOLDER", help=OUTPUT_HELP)
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

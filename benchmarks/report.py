"""How results are shown: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from benchmarks.bench import Row
from benchmarks.goals import Verdict


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table: the metric's name, the heading, and how a number is written."""

    metric: str
    heading: str
    form: str = ".0f"


@dataclass(frozen=True, slots=True)
class Table:
    """What a scenario found."""

    scenario: str
    title: str
    columns: tuple[Column, ...]
    rows: list[Row]
    plotted: str = ""  # the metric that is drawn, if any


def render(table: Table) -> str:
    """Return the table as text, numbers to the right; why a row has no figures stands below."""
    lines = [["server", "load", *(column.heading for column in table.columns)]]
    lines += [[row.peer, row.load, *(_cell(row, column) for column in table.columns)] for row in table.rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    text = [table.title, ""]
    for cells in lines:
        words = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
        text.append("  ".join([*words, *numbers]).rstrip())
    return "\n".join([*text, *_reasons(table.rows)])


def as_json(
    machine: dict[str, str], versions: dict[str, str], tables: Iterable[Table], verdicts: Iterable[Verdict]
) -> str:
    """Return everything: every round of every row, and the verdicts."""
    document = {
        "machine": machine,
        "versions": versions,
        "scenarios": {table.scenario: [asdict(row) for row in table.rows] for table in tables},
        "goals": [
            {
                "level": verdict.goal.level,
                "scenario": verdict.goal.scenario,
                "text": verdict.goal.text,
                "limit": verdict.goal.limit,
                "value": verdict.value,
                "failed_requests": verdict.failed_requests,
                "met": verdict.met,
            }
            for verdict in verdicts
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _cell(row: Row, column: Column) -> str:
    value = row.metrics.get(column.metric)
    return "-" if value is None else format(value, column.form)


def _reasons(rows: Iterable[Row]) -> Iterator[str]:
    """Yield each reason once, with all the loads that it befell."""
    loads: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        if row.note:
            loads[row.peer, row.note].append(row.load)
    for (peer, note), names in loads.items():
        indented = note.replace("\n", "\n      ")
        yield f"  {', '.join(filter(None, (peer, *names)))}: {indented}"

"""Bars as SVG: one for each server, the shortest on top, the loads one below the other."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from benchmarks.bench import Row
from benchmarks.report import Table

_BAR, _GAP, _NAMES, _WIDTH, _MARGIN = 18, 6, 170, 800, 12
_FONT = 'font-family="sans-serif" font-size="13"'


def bars(table: Table) -> str:
    """Draw the metric that the table has for this; rows without a figure of it are left out."""
    metric = table.plotted
    rows = [row for row in table.rows if metric in row.metrics]
    scale = (_WIDTH - _NAMES - 80) / max((row.metrics[metric] for row in rows), default=1)
    column = next(column for column in table.columns if column.metric == metric)
    parts = [_text(_MARGIN, 24, table.title, 'font-weight="bold"'), _text(_MARGIN, 44, column.heading)]
    top = 56
    for load in dict.fromkeys(row.load for row in rows):
        group = sorted((row for row in rows if row.load == load), key=lambda row: row.metrics[metric])
        parts.append(_text(_NAMES, top + 16, load, 'font-weight="bold"'))
        top += 24
        parts += _group(group, metric, scale, top, column.form)
        top += len(group) * (_BAR + _GAP) + _GAP
    # White even on a dark page, or the text could not be read there.
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" {_FONT}>'
    return "\n".join([start, f'<rect width="{_WIDTH}" height="{top}" fill="white"/>', *parts, "</svg>", ""])


def _group(rows: Iterable[Row], metric: str, scale: float, top: int, form: str) -> Iterable[str]:
    for row in rows:
        value, base = row.metrics[metric], top + _BAR - 5
        length = value * scale
        colour = "#2a6f97" if row.peer.startswith("workerkit") else "#b0b7bd"
        yield _text(_NAMES - 8, base, row.peer, 'text-anchor="end"')
        yield f'<rect x="{_NAMES}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>'
        yield _text(_NAMES + length + 6, base, format(value, form))
        top += _BAR + _GAP


def _text(x: float, y: int, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y}" {attributes}>{escape(text)}</text>'

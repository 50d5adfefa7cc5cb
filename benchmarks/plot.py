"""Bars as SVG: one for each server, the shortest on top."""

from __future__ import annotations

from html import escape

from benchmarks.report import Table

_BAR, _GAP, _NAMES, _WIDTH = 18, 6, 170, 760
_FONT = 'font-family="sans-serif" font-size="13"'


def bars(table: Table, metric: str, heading: str) -> str:
    """Draw one metric of a table; rows without it are left out."""
    values = sorted((row.metrics[metric], row.peer) for row in table.rows if metric in row.metrics)
    scale = (_WIDTH - _NAMES - 60) / max((value for value, _ in values), default=1)
    height = 40 + len(values) * (_BAR + _GAP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" {_FONT}>']
    parts.append(f'<text x="0" y="18" font-weight="bold">{escape(heading)}</text>')
    for place, (value, peer) in enumerate(values):
        parts += _bar(peer, value, value * scale, 34 + place * (_BAR + _GAP))
    return "\n".join([*parts, "</svg>", ""])


def _bar(peer: str, value: float, length: float, top: int) -> list[str]:
    colour = "#2a6f97" if peer.startswith("workerkit") else "#b0b7bd"
    base = top + _BAR - 5
    return [
        f'<text x="{_NAMES - 8}" y="{base}" text-anchor="end">{escape(peer)}</text>',
        f'<rect x="{_NAMES}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>',
        f'<text x="{_NAMES + length + 6:.1f}" y="{base}">{value:.1f}</text>',
    ]

"""Rows of text as columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

_GAP = "  "


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return rows with their cells below each other; the columns in ``right`` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        _GAP.join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )

"""``workerkit workers``, ``arbiters`` and ``protocols``: what is installed, without importing any of it."""

from __future__ import annotations

from collections.abc import Sequence

from workerkit import plugins
from workerkit.errors import UsageError

GROUPS = {"workers": plugins.WORKERS, "arbiters": plugins.ARBITERS, "protocols": plugins.PROTOCOLS}

_TITLES = ("NAME", "DISTRIBUTION", "VALUE")
_GAP = "  "


def run(words: Sequence[str]) -> int:
    """Print the plugins of the group that ``words`` names; raises ``UsageError`` for further words."""
    name, *rest = words
    if rest and rest[0] not in {"-h", "--help"}:
        raise UsageError(f"workerkit {name} takes no argument, got {rest[0]!r}")
    if rest:
        print(f"Usage: workerkit {name}\n\nLists the {name} that are installed, without importing them.")
        return 0
    rows = [(plugin.name, plugin.owner, plugin.value) for plugin in plugins.available(GROUPS[name])]
    print(_table([_TITLES, *rows]) if rows else f"There are no {name} installed.")
    return 0


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (_GAP.join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)

"""Reads the documentation as its tests see it: a page is a story, told in fenced blocks.

A block's language says what a reader would do with it. A comment in the line above says more:

    <!-- file: NAME -->      the reader saves it under this name, in the folder where the page's commands run
    <!-- exits: CODE -->     its commands end with this code instead of 0
    <!-- not run: REASON --> the tests cannot; Python is compiled all the same
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])

PICTURES = frozenset({"text", "mermaid", "ini", "nginx", "dockerfile", "yaml", "json"})
"""Languages of blocks that are looked at and not run."""

_BLOCK = re.compile(
    r"^(?:<!-- (?P<kind>file|exits|not run): (?P<note>.+?) -->\n)?"
    r"^```(?P<language>\S*)(?P<argument>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NOTE = re.compile(r"^<!-- (?:file|exits|not run):.*\n(?!```)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; ``file``, ``exits`` and ``not_run`` are its notes."""

    place: str
    language: str
    text: str
    file: str | None = None
    exits: int = 0
    not_run: str | None = None

    @property
    def is_directive(self) -> bool:
        """Whether it is Sphinx's and not a snippet."""
        return self.language.startswith("{")

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each command of a ``console`` block, with the lines of output that the page shows for it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, *output = part.replace("\\\n", " ").splitlines()
            yield command, [line for line in output if line]


def blocks(page: Path) -> list[Block]:
    """Return a page's blocks, in the order in which a reader meets them."""
    text = page.read_text(encoding="utf-8")
    assert not _NOTE.search(text), f"{page}: a note stands above no block: {_NOTE.search(text)}"
    return [_block(page, text, match) for match in _BLOCK.finditer(text)]


def _block(page: Path, text: str, match: re.Match[str]) -> Block:
    kind, note = match["kind"], match["note"]
    language, body = match["language"], match["text"]
    if language == "{literalinclude}" and kind == "file":
        path = page.parent / match["argument"].strip()
        language, body = path.suffix.removeprefix("."), path.read_text(encoding="utf-8")
    return Block(
        place=f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start('text'))}",
        language=language,
        text=body,
        file=note if kind == "file" else None,
        exits=int(note) if kind == "exits" else 0,
        not_run=note if kind == "not run" else None,
    )

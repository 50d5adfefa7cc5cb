"""What the documentation tells its readers to do works, page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import PAGES, PICTURES, ROOT, blocks
from reader import Reader

PROGRAMS = ("curl", "openssl", "redis-cli")


def stories() -> Iterator[object]:
    """Yield the pages that have something to do, each marked with the programs that its commands name."""
    for page in PAGES:
        console = "\n".join(block.text for block in blocks(page) if block.language == "console")
        needed = [name for name in PROGRAMS if re.search(rf"\b{name} ", console)]
        marks = [pytest.mark.program(*needed)] if needed else []
        if any(not block.is_directive and block.language not in PICTURES for block in blocks(page)):
            yield pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("page", list(stories()))
def test_page_can_be_followed(page: Path, tmp_path: Path) -> None:
    """Each snippet of the page runs, in order, and says what the page shows."""
    with Reader(tmp_path) as reader:
        for block in blocks(page):
            if not block.is_directive and (block.file or block.language not in PICTURES):
                reader.follow(block)

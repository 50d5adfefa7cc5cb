"""The page of the reference is what the cases say."""

from __future__ import annotations

from collections import Counter

from tests.refusals import page
from tests.refusals.catalog import GROUPS


def test_page_is_current() -> None:
    """The page lists these cases; otherwise run ``python -m tests.refusals.page``."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text()


def test_names_are_unique() -> None:
    """No two cases of a group have the same name and source, so that a failure names one."""
    for title, cases in GROUPS.items():
        names = Counter((case.name, case.source) for case in cases)

        assert [name for name, count in names.items() if count > 1] == [], title

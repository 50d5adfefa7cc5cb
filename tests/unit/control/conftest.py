"""Fixtures of the control socket's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from supervised import Realm


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    """A loop in which control servers live as long as the test."""
    realm = Realm(tmp_path)
    yield realm
    realm.close()

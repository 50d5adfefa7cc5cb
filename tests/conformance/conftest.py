"""Lets these tests, and the servers that they start, import the example package."""

from __future__ import annotations

from pathlib import Path

import pytest

TRIO = Path(__file__).parents[2] / "examples" / "workerkit-trio"


@pytest.fixture(autouse=True, scope="package")
def importable_example():
    """Put examples/workerkit-trio where an installation would put it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TRIO)
        yield

"""For all tests: the marker ``program``, which tells what a test needs of the system."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is not installed; with ``CI=true``, where every program should be, let it fail."""
    for marker in item.iter_markers("program"):
        missing = [name for name in marker.args if shutil.which(name) is None]
        if not missing:
            continue
        reason = f"not installed: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}; with CI=true nothing may be skipped for that", pytrace=False)
        pytest.skip(reason)

"""The marker ``program`` of tests/conftest.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
NEEDS = """\
import pytest


@pytest.mark.program({name!r})
def test_it():
    pass
"""


def run_test_that_needs(program: str, folder: Path, ci: str) -> str:
    """Run pytest on one test with the marker, and return what it says at the end."""
    shutil.copy(CONFTEST, folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = program(name)\n")
    (folder / "test_needs.py").write_text(NEEDS.format(name=program))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("program", "ci", "outcome"),
    [
        ("sh", "", "1 passed"),
        ("sh", "true", "1 passed"),
        ("no-such-program", "", "1 skipped"),
        ("no-such-program", "true", "1 error"),
    ],
)
def test_program_marker(tmp_path: Path, program: str, ci: str, outcome: str) -> None:
    """A test whose program is missing is skipped, and with CI=true it fails."""
    assert outcome in run_test_that_needs(program, tmp_path, ci)

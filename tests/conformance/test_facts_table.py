"""The command that prints facts by worker classes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("settings", ["", "filterwarnings = error\naddopts = --no-such-option\n"])
def test_the_table_of_one_fact(tmp_path: Path, settings: str) -> None:
    """It tells what each class keeps, whatever the settings of the project are in which it is called."""
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{settings}")
    command = [sys.executable, "-m", "workerkit.testing.table", "sync", "threaded", "-k", "test_unix_socket"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.splitlines()[-1] == "1 facts; kept, of those that apply: sync 1 of 1, threaded 1 of 1", done
    assert done.returncode == 0

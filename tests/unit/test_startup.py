"""What a start does not pay for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# Each costs a start 1 to 10 ms; a module that is needed by few is imported by the function that needs it.
SLOW = {
    *("asyncio", "datetime", "email", "http", "importlib.metadata", "pathlib", "random", "shutil", "ssl"),
    *("tomllib", "unicodedata", "urllib.parse"),
}
PROGRAM = """
import json, sys
before = set(sys.modules)
from workerkit import cli
code = cli.main(["--check-config", "-b", "127.0.0.1:0", "shop:app"])
print(json.dumps([code, sorted(set(sys.modules) - before)]))
"""


def test_a_start_imports_nothing_slow(tmp_path: Path) -> None:
    """From the words to a loaded application, no module is imported that only some settings need."""
    (tmp_path / "shop.py").write_text("def app(environ, start_response): ...\n")
    (tmp_path / "pyproject.toml").write_text("[project]\ndependencies = ['workerkit']\n[tool.ruff]\n")
    program = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    code, imported = json.loads(done.stdout.splitlines()[-1])

    assert code == 0
    assert "workerkit.workers.sync" in imported
    assert SLOW.isdisjoint(imported)

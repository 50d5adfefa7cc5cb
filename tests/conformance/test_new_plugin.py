"""What ``workerkit new-plugin`` writes can be installed, listed, selected and tested at once."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from workerkit.testing.server import Launcher

ROOT = Path(__file__).parents[2]


def run(*words: str, folder: Path, path: str = "") -> str:
    """Run a command to its end and return what it said."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"], path])}
    done = subprocess.run(
        words,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a new package."""
    folder = tmp_path_factory.mktemp("empty")
    run(sys.executable, "-m", "workerkit", "new-plugin", "my-own", folder=folder)
    return folder / "workerkit-my-own"


@pytest.fixture(scope="module")
def site(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    run(*pip, "--target", str(site), str(package), folder=package)
    return site


@pytest.mark.timeout(180)
def test_it_is_listed(site: Path, package: Path) -> None:
    """An installed package's worker class is in the list, with its distribution, and can be described."""
    listed = run(sys.executable, "-m", "workerkit", "workers", folder=package, path=str(site))
    described = run(sys.executable, "-m", "workerkit", "workers", "my-own", folder=package, path=str(site))

    assert "my-own" in listed
    assert "workerkit-my-own 0.1.0" in listed
    assert "--worker-connections" in described


@pytest.mark.timeout(180)
def test_it_serves(site: Path, tmp_path: Path) -> None:
    """A server runs with the new class, selected by its name."""
    launcher = Launcher(tmp_path, path=[site, ROOT])
    server = launcher("workerkit.testing.apps.pages:app", "--worker-class", "my-own")
    answer = server.fetch("/facts").body
    launcher.finish()

    assert b'"workerkit.worker_class": "my-own"' in answer


@pytest.mark.timeout(180)
def test_its_tests_pass(site: Path, package: Path) -> None:
    """The package's own tests pass as it is: the class holds every fact of the kit."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    said = run(sys.executable, *words, folder=package, path=str(site))

    assert " passed" in said
    assert " failed" not in said


def test_it_is_written_once(package: Path) -> None:
    """A folder that has something in it is left alone."""
    done = subprocess.run(
        [sys.executable, "-m", "workerkit", "new-plugin", "my-own"],
        cwd=package.parent, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "workerkit-my-own exists, and is no empty folder" in done.stderr

"""Fixtures of the tests that boot the real command."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from harness import Gate, Launcher


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Launcher]:
    """Start servers that live as long as the test."""
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.finish()


@pytest.fixture(scope="module")
def serve_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Start servers that live as long as the module's tests."""
    launcher = Launcher(tmp_path_factory.mktemp("servers"))
    yield launcher
    launcher.finish()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Hold requests inside the application until the test lets them go on."""
    gate = Gate(tmp_path)
    yield gate
    gate.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the log of each server that a failed test used."""
    report = yield
    if report.failed:
        launchers = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Launcher)]
        for server in (server for launcher in launchers for server in launcher.servers):
            report.sections.append((f"log of {server!r}", server.log.text))
    return report

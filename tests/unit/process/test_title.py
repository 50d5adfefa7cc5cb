"""What ps calls a process."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from workerkit.process.title import show_title


@pytest.mark.parametrize(
    ("role", "name", "title"),
    [("worker 0", "shop", "workerkit: worker 0 [shop]"), ("arbiter", "", "workerkit: arbiter")],
)
def test_a_title(monkeypatch: pytest.MonkeyPatch, role: str, name: str, title: str) -> None:
    """The role first, then the name in brackets."""
    shown: list[str] = []
    monkeypatch.setitem(sys.modules, "setproctitle", SimpleNamespace(setproctitle=shown.append))
    show_title(role, name)

    assert shown == [title]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where setproctitle is not installed, the process keeps the title that it has."""
    monkeypatch.setitem(sys.modules, "setproctitle", None)

    show_title("worker 0", "shop")

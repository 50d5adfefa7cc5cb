"""Every case over a socket, on every worker class."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.refusals.case import Case
from tests.refusals.catalog import GROUPS
from tests.refusals.wire import Target


@pytest.fixture(scope="module", params=["sync", "threaded", "gevent", "eventlet"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Serve the application that breaks rules, by one worker of a class, for all cases."""
    if request.param in ("gevent", "eventlet"):
        pytest.importorskip(request.param)
    running = Target(request.param, tmp_path_factory.mktemp(request.param))
    yield running
    running.close()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{title}: {case.name} ({case.source})")
        for title, cases in GROUPS.items()
        for case in cases
    ],
)
def test_case_over_a_socket(case: Case, target: Target) -> None:
    """What comes back, what the application was asked and what the log says is what the case demands."""
    target.try_out(case)

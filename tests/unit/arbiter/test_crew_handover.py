"""Whether idle connections of a worker that leaves are taken over: by whom its pool will be made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from realm import POOL

from workerkit.arbiter.base import ArbiterOptions
from workerkit.arbiter.crew import Crew, Release
from workerkit.arbiter.table import Role, WorkerHandle
from workerkit.workers.sync import SyncWorker

SYNC = POOL.replace(worker_class=SyncWorker)
OLD = WorkerHandle(Role.WORKER, "default", 0, 0, 1, 0.0)

MakeCrew = Callable[..., Crew]


@pytest.fixture
def reloading() -> Iterator[MakeCrew]:
    """Make a crew that replaces workers of one pool by those of the same, but for what is said."""
    made: list[Crew] = []

    def make(**changed: Any) -> Crew:
        crew = Crew(1, Release(1, SYNC, (), ArbiterOptions()))
        made.append(crew)
        crew.settle()
        crew.begin(Release(2, SYNC.replace(**changed), (), ArbiterOptions()))
        return crew

    yield make
    for crew in made:
        crew.close()


def test_workers_of_the_same_kind_take_over(reloading: MakeCrew) -> None:
    """After a reload with new code, the new workers go on with the old connections."""
    assert reloading().takes_over(OLD)


@pytest.mark.parametrize(
    "changed",
    [{"worker_class": POOL.worker_class}, {"scheme": "tcp"}, {"tls": object()}, {"workers": 0}],
    ids=["a class that cannot", "another scheme", "TLS", "nobody"],
)
def test_others_do_not(reloading: MakeCrew, changed: dict[str, Any]) -> None:
    """Where nobody could go on with them, connections stay with the worker that leaves."""
    assert not reloading(**changed).takes_over(OLD)

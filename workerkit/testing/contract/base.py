"""What all facts have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from workerkit.testing.bench import Bench, Kit


class Facts:
    """A group of facts about one worker class."""

    worker: ClassVar[str] = ""
    """The worker class; empty: each that ``--worker`` names."""
    plugins: ClassVar[tuple[str, ...]] = ()
    """Files that worker classes may be defined in."""

    @pytest.fixture
    def kit(self, worker_bench: Bench, request: pytest.FixtureRequest) -> Iterator[Kit]:
        """Everything that a fact needs of the worker class under test."""
        needed = [name for marker in request.node.iter_markers("worker_needs") for name in marker.args]
        if lacking := worker_bench.lacks(needed):
            pytest.skip(f"not applicable: {worker_bench.worker} does not declare {lacking!r}")
        kit = Kit(worker_bench)
        yield kit
        kit.finish()

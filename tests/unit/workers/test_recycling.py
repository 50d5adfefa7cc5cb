"""When a worker is replaced for its age or its memory."""

from __future__ import annotations

from itertools import count

from workerkit.workers.base import WorkerOptions
from workerkit.workers.recycling import Recycling, spread

START = 1000.0
LIMIT = 100 << 20


def never(_pid: int) -> int:
    raise AssertionError("nobody needs to know")


def test_a_worker_grows_old() -> None:
    """It is due when it has lived for max_age, and not before."""
    recycling = Recycling(WorkerOptions(max_age=60.0), START, rss=never, pss=never)

    assert recycling.due(START + 59.0) is None
    assert recycling.due(START + 60.0) == "60 s"


def test_age_is_spread() -> None:
    """Workers that began together do not leave together."""
    options = WorkerOptions(max_age=60.0, max_age_jitter=30.0)
    ends = {next(age for age in count(60) if Recycling(options, START).due(START + age)) for _ in range(30)}

    assert len(ends) > 3
    assert ends <= set(range(60, 92))


def test_no_jitter_is_no_jitter() -> None:
    """The limit is exact where nothing else was asked for."""
    assert spread(10, 0) == 10


def test_a_worker_grows_large() -> None:
    """It is due when what it has of its own, and its share of the rest, is past max_memory."""
    recycling = Recycling(WorkerOptions(max_memory=LIMIT), START, rss=lambda _: 3 * LIMIT, pss=lambda _: 2 * LIMIT)

    assert recycling.due(START) == "its memory has grown to 200 MiB"


def test_shared_memory_is_no_growth() -> None:
    """A worker whose PSS is within the limit stays, and PSS is looked at rarely, for it is dear."""
    looks: list[int] = []
    options = WorkerOptions(max_memory=LIMIT)
    recycling = Recycling(options, START, rss=lambda _: 3 * LIMIT, pss=lambda pid: looks.append(pid) or LIMIT)

    assert [recycling.due(START + second) for second in range(20)] == [None] * 20
    assert len(looks) == 2


def test_a_small_worker_is_looked_at_cheaply() -> None:
    """While RSS is within the limit, PSS is too, and is not asked for."""
    recycling = Recycling(WorkerOptions(max_memory=LIMIT), START, rss=lambda _: LIMIT, pss=never)

    assert recycling.due(START) is None


def test_without_pss_rss_counts() -> None:
    """Where the kernel does not tell PSS, RSS decides."""
    recycling = Recycling(WorkerOptions(max_memory=LIMIT), START, rss=lambda _: 3 * LIMIT, pss=lambda _: None)

    assert recycling.due(START) == "its memory has grown to 300 MiB"


def test_a_second_is_soon_enough() -> None:
    """Who asks more than once a second gets an answer that costs nothing."""
    looks: list[int] = []
    recycling = Recycling(WorkerOptions(max_memory=LIMIT), START, rss=lambda pid: looks.append(pid) or 0, pss=never)
    for part in range(10):
        recycling.due(START + part / 10)

    assert len(looks) == 1

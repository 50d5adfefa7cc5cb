"""Kills for want of memory, told apart by the control group's counter."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workerkit.process.fork import fork
from workerkit.process.oom import OutOfMemoryKills, be_killed_first


def put(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("groups", "counter", "text"),
    [
        ("0::/web.service\n", "sys/fs/cgroup/web.service/memory.events", "low 0\noom 1\noom_kill {}\n"),
        ("0::/\n", "sys/fs/cgroup/memory.events", "oom_kill {}\n"),
        (
            "4:memory:/docker/abc\n1:cpu,cpuacct:/\n0::/\n",
            "sys/fs/cgroup/memory/docker/abc/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n",
        ),
    ],
)
def test_a_kill_is_noticed_once(tmp_path: Path, groups: str, counter: str, text: str) -> None:
    """Whichever version of control groups there is, the counter of our own group decides."""
    put(tmp_path, "proc/self/cgroup", groups)
    file = put(tmp_path, counter, text.format(3))
    kills = OutOfMemoryKills(str(tmp_path))
    assert not kills.claim(0.0)
    file.write_text(text.format(4))

    assert kills.claim(1.0)
    assert not kills.claim(1.1)


@pytest.fixture
def counted(tmp_path: Path) -> Callable[[int], object]:
    """Sets the counter."""
    put(tmp_path, "proc/self/cgroup", "0::/\n")
    return lambda number: put(tmp_path, "sys/fs/cgroup/memory.events", f"oom_kill {number}\n")


def test_several_kills_at_once_are_as_many(tmp_path: Path, counted: Callable[[int], object]) -> None:
    """Two workers that were killed together are both told to have been; whoever ends after them is not."""
    counted(3)
    kills = OutOfMemoryKills(str(tmp_path))
    counted(5)

    assert [kills.claim(10.0), kills.claim(10.01), kills.claim(10.02)] == [True, True, False]


def test_a_kill_that_was_somebody_elses_explains_no_later_death(
    tmp_path: Path, counted: Callable[[int], object]
) -> None:
    """What was killed besides a worker may have been its child, of which nobody here hears."""
    counted(3)
    kills = OutOfMemoryKills(str(tmp_path))
    counted(5)

    assert [kills.claim(10.0), kills.claim(12.0)] == [True, False]


def test_where_nothing_can_be_read_nothing_is_claimed(tmp_path: Path) -> None:
    """Without a counter it cannot be known."""
    assert OutOfMemoryKills(str(tmp_path)).claim(0.0) is None


def test_a_worker_is_killed_before_its_arbiter() -> None:
    """A child raises what the kernel adds to its size, when it looks for whom to kill, above its parent's."""
    score = Path("/proc/self/oom_score_adj")
    before = int(score.read_text())

    def child() -> int:
        be_killed_first()
        return int(int(score.read_text()) != min(1000, before + 10))

    _, status = os.waitpid(fork(child), 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert int(score.read_text()) == before

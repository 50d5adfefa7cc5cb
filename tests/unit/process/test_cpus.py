"""How many processors count, from files as a container sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workerkit.process.cpus import usable_cpus


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


def system(root: Path, cgroup: str, **files: str) -> str:
    """Lay out /proc and /sys as the kernel would; file names come as path__to__file."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    """On a machine without control groups, every processor that this process may run on is usable."""
    assert usable_cpus(str(tmp_path)) == 8


def test_a_quota_is_rounded_up(tmp_path: Path) -> None:
    """One and a half processors are worth two workers."""
    assert usable_cpus(system(tmp_path, "0::/\n", cpu_DOT_max="150000 100000\n")) == 2


def test_no_quota_is_called_max(tmp_path: Path) -> None:
    """A group without a limit takes nothing away."""
    assert usable_cpus(system(tmp_path, "0::/app\n", app__cpu_DOT_max="max 100000\n")) == 8


def test_the_tightest_group_on_the_way_up_counts(tmp_path: Path) -> None:
    """A quota of a group further up holds for everything below it."""
    root = system(
        tmp_path,
        "0::/a/b\n",
        cpu_DOT_max="max 100000",
        a__cpu_DOT_max="200000 100000",
        a__b__cpu_DOT_max="300000 100000",
    )

    assert usable_cpus(root) == 2


def test_a_tiny_quota_is_still_one(tmp_path: Path) -> None:
    """Somebody has to do the work."""
    assert usable_cpus(system(tmp_path, "0::/\n", cpu_DOT_max="5000 100000")) == 1


def test_the_quota_of_the_first_version_is_read(tmp_path: Path) -> None:
    """Older kernels keep quota and period in two files; -1 is no limit."""
    root = system(
        tmp_path,
        "4:memory:/app\n3:cpu,cpuacct:/app\n",
        cpu__app__cpu_DOT_cfs_quota_us="300000",
        cpu__app__cpu_DOT_cfs_period_us="100000",
        cpu__cpu_DOT_cfs_quota_us="-1",
        cpu__cpu_DOT_cfs_period_us="100000",
    )

    assert usable_cpus(root) == 3


def test_here_it_is_at_least_one() -> None:
    """On the machine that runs the tests the answer is a sensible one, whatever its control groups say."""
    assert 1 <= usable_cpus() <= 8

"""Forks, with real processes."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable

import pytest

from workerkit.process.fork import adopt_orphans, fork, fork_for_adoption

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl(2) is Linux")


def exit_code_of(child: Callable[[], int]) -> int:
    _, status = os.waitpid(fork(child), 0)
    return os.waitstatus_to_exitcode(status)


def read_number(fd: int) -> int:
    """Wait for a line on a pipe; -1 at its end."""
    assert select.select([fd], [], [], 10.0)[0], "nothing was written in time"
    return int(os.read(fd, 32) or b"-1")


def raises() -> int:
    raise ValueError("the child is broken")


@pytest.mark.parametrize(
    ("child", "code"),
    [
        (lambda: 0, 0),
        (lambda: 7, 7),
        (lambda: sys.exit(5), 5),
        (sys.exit, 0),
        (lambda: sys.exit("a message"), 1),
    ],
)
def test_a_child_exits_with_what_it_returns(child: Callable[[], int], code: int) -> None:
    """The return value, or what SystemExit carries, is the exit code."""
    assert exit_code_of(child) == code


def test_an_error_in_a_child_is_shown_and_exits_70(capfd: pytest.CaptureFixture[str]) -> None:
    """What a child raises never unwinds into its parent's code: it is printed and the child exits."""
    here = os.getpid()

    assert exit_code_of(raises) == 70
    assert os.getpid() == here
    assert "ValueError: the child is broken" in capfd.readouterr().err


def test_what_was_printed_before_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Buffered output is flushed before the fork, so that the child has no copy of it to flush again."""
    print("before", end="")
    exit_code_of(lambda: print("inside", end="") or 0)

    assert capfd.readouterr().out == "beforeinside"


@LINUX
def test_a_subreaper_becomes_the_parent() -> None:
    """A process forked for adoption runs as the child of its nearest ancestor that adopts, from its first line on."""
    reader, writer = os.pipe()

    def worker() -> int:
        os.write(writer, b"%d" % os.getppid())
        return 9

    def mold() -> int:
        fork_for_adoption(worker)
        signal.pause()
        return 0

    def arbiter() -> int:
        assert adopt_orphans()
        child = fork(mold)
        parent = read_number(reader)
        while True:
            pid, status = os.wait()
            if pid != child:
                os.kill(child, signal.SIGKILL)
                return int(parent != os.getpid() or os.waitstatus_to_exitcode(status) != 9)

    assert exit_code_of(arbiter) == 0
    os.close(reader)
    os.close(writer)

"""How much memory a process holds."""

from __future__ import annotations

import os

from workerkit.process.fork import fork
from workerkit.process.memory import proportional, resident


def test_our_own_memory() -> None:
    """What is shared counts whole in one figure and in part in the other."""
    whole, part = resident(os.getpid()), proportional(os.getpid())

    assert whole is not None
    assert part is not None
    assert 1024 * 1024 < part < whole * 1.1


def test_a_process_that_is_gone_has_none() -> None:
    """Looking at a process that ends is no error."""
    pid = fork(lambda: 0)
    os.waitpid(pid, 0)

    assert (resident(pid), proportional(pid)) == (None, None)

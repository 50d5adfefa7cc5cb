"""fork(), and whose child a process becomes when its parent ends.

That is decided by PR_SET_CHILD_SUBREAPER, which Linux has and Python does not wrap. On other systems ``adopt_orphans``
answers False, and the arbiter says so.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

# Taken unpatched: a mold is forked from after gevent or eventlet has replaced these for the application.
_fork = os.fork  # noqa: TID251  this is the one place that forks
_waitpid = os.waitpid

_PR_SET_PDEATHSIG = 1  # a signal for the end of the parent, or rather of its thread that forked
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, argument: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # noqa: PLC0415  half a megabyte, for servers that preload their application

    # PyDLL would hold the GIL just as well; CDLL releases it, which is what a system call should do.
    return bool(ctypes.CDLL(None).prctl(option, argument, 0, 0, 0) == 0)


def adopt_orphans() -> bool:
    """Become the parent of this process's orphaned descendants; False where the kernel cannot."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def fork(child: Callable[[], int]) -> int:
    """Return the pid of a new process that runs ``child()`` and exits with what it returns.

    The child never returns into the caller's stack, whatever happens in it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = _fork()
    if pid == 0:
        _become(child)
    return pid


def _become(child: Callable[[], int]) -> NoReturn:
    code = 70  # EX_SOFTWARE: the child's own code is at fault
    try:
        code = child()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001  nothing may unwind into the parent's copy of the stack
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 1
        os._exit(code)


def fork_for_adoption(child: Callable[[], int]) -> None:
    """Fork twice, so that ``child()`` runs in a process whose parent is already gone.

    Its new parent is the nearest ancestor that called ``adopt_orphans``. Called in a mold.
    """
    middle = fork(lambda: _fork_and_leave(child))
    _waitpid(middle, 0)


def _fork_and_leave(child: Callable[[], int]) -> int:
    middle = os.getpid()
    with warnings.catch_warnings():
        # gevent has its threads started again in every child. This one does nothing but fork and end, and its own child
        # has them started once more.
        warnings.simplefilter("ignore", DeprecationWarning)
        fork(lambda: _await_adoption(middle) or child())
    return 0


def _await_adoption(middle: int) -> int:
    """Wait until the process in between has ended: the kernel signals it, after it has given us a new parent."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    _prctl(_PR_SET_PDEATHSIG, signal.SIGCHLD)
    if os.getppid() == middle:
        signal.sigtimedwait({signal.SIGCHLD}, 5.0)
    _prctl(_PR_SET_PDEATHSIG, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return 0

"""How this process was started, to be able to start the same once more: its words, its folder, its variables."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from typing import NoReturn

from workerkit.records import Record

# Each says for which process some other variable is meant; a new process in our place has to be named anew.
_ADDRESSEES = ("LISTEN_PID", "WATCHDOG_PID")


class Program(Record):
    """What execve(2) wants, as it was at the start."""

    words: tuple[str, ...]
    """The interpreter first; none where the interpreter is not known."""
    folder: str
    variables: dict[str, str]
    pid: int

    @classmethod
    def of_this_process(cls) -> Program:
        """Return it as it is now."""
        words = (sys.executable, *sys.orig_argv[1:]) if sys.executable else ()
        return cls(words, _folder(), dict(os.environ), os.getpid())

    def execute(self, fds: Iterable[int], more: Mapping[str, str]) -> NoReturn:
        """Become a new process of this program. In a child, right after the fork.

        Args:
            fds: Descriptors that it keeps, besides those that are inheritable already.
            more: Variables that it gets besides those of the start.

        Raises:
            OSError: The folder or the interpreter is gone.
        """
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            # What has a handler gets its default back by itself; what is ignored would stay ignored.
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for fd in fds:
            os.set_inheritable(fd, True)
        os.chdir(self.folder)
        os.execve(self.words[0], self.words, {**self.variables, **self._addressed(), **more})  # noqa: S606  no shell

    def _addressed(self) -> dict[str, str]:
        ours = str(self.pid)
        return {name: str(os.getpid()) for name in _ADDRESSEES if self.variables.get(name) == ours}


def _folder() -> str:
    """Return the working folder by the name by which somebody went there.

    A folder such as ``current``, a symbolic link that each release points elsewhere, then means the newest release.
    """
    here, named = os.getcwd(), os.environ.get("PWD", "")
    try:
        return named if os.path.isabs(named) and os.path.samefile(named, here) else here
    except OSError:
        return here


_remembered: Program | None = None


def remember() -> None:
    """Note how this process was started, if that is not noted yet. By assembly, before any setting changes it."""
    global _remembered  # noqa: PLW0603  a process is started once
    if _remembered is None:
        _remembered = Program.of_this_process()


def remembered() -> Program:
    """Return how this process was started, as far as was noted."""
    return _remembered or Program.of_this_process()

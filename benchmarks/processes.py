"""Processes of the harness: each on its cores, none outliving the harness."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Part of util-linux; it replaces itself by the command, which is then killed when the harness dies.
_TIED_TO_HARNESS = ("setpriv", "--pdeathsig", "KILL", "--")


def spawn(
    command: Sequence[str],
    cores: frozenset[int],
    *,
    folder: Path = ROOT,
    variables: Mapping[str, str] | None = None,
    input: int = subprocess.DEVNULL,  # noqa: A002 - subprocess calls it so
    errors: int = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so that Ctrl-C is for the harness alone."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "PYTHONUNBUFFERED": "1",
        **(variables or {}),
    }
    # The peers were compiled when they were installed. What runs from this tree is compiled by its first start, unless
    # this variable, which development environments like to set, forbids it: then it would be compiled by every start.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with pinned(cores):
        return subprocess.Popen(
            [*_TIED_TO_HARNESS, *command],
            cwd=folder,
            env=environment,
            stdin=input,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Let this thread run on these cores for a while: a child inherits them."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)

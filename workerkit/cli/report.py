"""What people are told when a command cannot do what it was asked to."""

from __future__ import annotations

from workerkit.errors import BootError, WorkerkitError
from workerkit.frames import user_frames


def report(error: WorkerkitError) -> str:
    """Return what went wrong in lines, after the user's own frames if it was their code that raised."""
    frames = error.frames if isinstance(error, BootError) else ""
    if not frames and error.__cause__:
        frames = user_frames(error.__cause__)
    return f"{frames}workerkit: error: {error}"

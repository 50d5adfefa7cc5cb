"""From the words of a command line to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from workerkit.cli import listing, new_plugin, serve
from workerkit.errors import BootError, WorkerkitError
from workerkit.frames import user_frames

_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        argv: the words after the program's name; by default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words and words[0] in listing.GROUPS:
            return listing.run(words)
        if words and words[0] == new_plugin.COMMAND:
            return new_plugin.run(words)
        return serve.run(words)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except WorkerkitError as error:
        report(error)
        return error.exit_code


def report(error: WorkerkitError) -> None:
    """Print what went wrong, after the user's own frames if it was their code that raised."""
    frames = error.frames if isinstance(error, BootError) else ""
    if not frames and error.__cause__:
        frames = user_frames(error.__cause__)
    print(f"{frames}workerkit: error: {error}", file=sys.stderr)

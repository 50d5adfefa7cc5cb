"""From the words of a command line to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from workerkit.cli import listing, new_plugin, serve
from workerkit.cli.report import report
from workerkit.errors import WorkerkitError

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
        if words and words[0] == "ctl":
            from workerkit.cli import ctl  # noqa: PLC0415  a server has no need of its client

            return ctl.run(words)
        return serve.run(words)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except WorkerkitError as error:
        print(report(error), file=sys.stderr)
        return error.exit_code

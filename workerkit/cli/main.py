"""From the words of a command line to an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from workerkit.cli import serve
from workerkit.cli.report import report
from workerkit.errors import WorkerkitError

_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it

_COMMANDS = {
    "workers": "listing",
    "arbiters": "listing",
    "protocols": "listing",
    "new-plugin": "new_plugin",
    "ctl": "ctl",
}
"""The first words that mean something else than to serve, and whose business each is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        argv: the words after the program's name; by default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        module = _COMMANDS.get(words[0]) if words else None
        return serve.run(words) if module is None else _command(module)(words)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except WorkerkitError as error:
        print(report(error), file=sys.stderr)
        return error.exit_code


def _command(module: str) -> Callable[[Sequence[str]], int]:
    """Return what does it; a server keeps in mind only what serving takes."""
    run: Callable[[Sequence[str]], int] = importlib.import_module(f"workerkit.cli.{module}").run
    return run

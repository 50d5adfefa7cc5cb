"""Writes the pages that are derived from the code: ``python docs/generate.py``.

They are committed, so that the documentation can be read without being built; tests/docs/test_generated_pages.py
fails when they are no longer what this writes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from workerkit.assembly import CORE_OPTIONS, worker_class
from workerkit.config.reference import markdown
from workerkit.config.schema import Schema
from workerkit.plugins import WORKERS, available

REFERENCE = Path(__file__).resolve().parent / "reference"

_SETTINGS_TOP = """\
# Settings

<!-- Written by docs/generate.py. Change the options in the code, then run it again. -->

A setting is declared once, beside the code that reads it; its flag, its key in a configuration file, its variable
and its section here are derived from that. Where several sources give one, the later one wins:

1. the default;
2. the hosting platform's variables: `WEB_CONCURRENCY`, `PORT`, `FORWARDED_ALLOW_IPS`;
3. the [configuration file](command-line.md#configuration-files);
4. the setting's own variable, `WORKERKIT_` and its name in capitals;
5. `WORKERKIT_CMD_ARGS`, which holds words of a command line;
6. the command line; or keyword arguments, for [a program that embeds workerkit](api.md);
7. the table of [one pool](command-line.md#pools), where there are several.

`workerkit --print-config` prints every setting with its value and where it came from.

Durations are seconds, or a number with `ms`, `s`, `m` or `h`; sizes are bytes, or a number with `k`, `m` or `g`
(powers of 1024). A list is separated by commas in a variable, and is a list in TOML and Python. Keys may also be
spelt like the long flag, with underscores: `keep_alive` is `keepalive`.
"""


def settings() -> str:
    """Return the settings reference: the core's, then each worker class's own; what several have is shown once."""
    core = Schema.of(*CORE_OPTIONS)
    classes = {plugin.name: worker_class(plugin.name) for plugin in available(WORKERS, "workerkit")}
    # Other names of a class have its settings.
    own = {name: found for name, found in classes.items() if found.__name__.lower() == f"{name}worker"}
    schema = core.union(*(core.extend(found.Options, section=name) for name, found in own.items()))
    return f"{_SETTINGS_TOP}\n{markdown(schema)}".rstrip() + "\n"


def help_page() -> str:
    """Return what the real ``workerkit --help`` prints on a terminal of 80 columns, outside of any project."""
    command = [sys.executable, "-m", "workerkit", "--help"]
    root = REFERENCE.parents[1]
    variables = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(root), "COLUMNS": "80"}
    done = subprocess.run(  # noqa: S603  our own command, no word of it from outside
        command, cwd=REFERENCE, env=variables, capture_output=True, text=True, check=True
    )
    return done.stdout


PAGES = {REFERENCE / "settings.md": settings, REFERENCE / "help.txt": help_page}


def main() -> None:
    """Write every page."""
    for path, text in PAGES.items():
        path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()

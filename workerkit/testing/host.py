"""Serves what only a program can: a protocol, a plain function, a lifespan.

``python -m workerkit.testing.host MODULE:NAME JSON``: NAME is served with the settings, and with MODULE's ``lifespan``
if it has one.
"""

from __future__ import annotations

import importlib
import json
import sys


def main(words: list[str]) -> int:
    """Serve until told to stop; return the exit code."""
    import workerkit  # noqa: PLC0415  as a program that embeds it would

    module_name, _, name = words[0].partition(":")
    module = importlib.import_module(module_name)
    settings = json.loads(words[1])
    return workerkit.run(
        getattr(module, name), lifespan=getattr(module, "lifespan", None), signals=True, **settings
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Starts a server that has no command: `python -m benchmarks.launch NAME HOST PORT MODULE:VARIABLE`."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main() -> None:
    name, host, port, target = sys.argv[1:]
    module, _, variable = target.partition(":")
    application = getattr(importlib.import_module(module), variable)
    LAUNCHERS[name](application, host, int(port))


def _bjoern(application: Any, host: str, port: int) -> None:
    importlib.import_module("bjoern").run(application, host, port)


def _fastwsgi(application: Any, host: str, port: int) -> None:
    importlib.import_module("fastwsgi").run(wsgi_app=application, host=host, port=port)


LAUNCHERS = {"bjoern": _bjoern, "fastwsgi": _fastwsgi}

if __name__ == "__main__":
    main()

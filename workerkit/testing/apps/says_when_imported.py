"""Says in the log when, and by which process, it is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

IMPORTER = os.getpid()
print(f"life: imported by {IMPORTER}", file=sys.stderr, flush=True)


def app(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Tell the process that serves, and the one that imported this."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {IMPORTER}".encode()]

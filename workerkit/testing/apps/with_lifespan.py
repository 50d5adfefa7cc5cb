"""An application, and a lifespan that tells when it is entered and left."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def tell(step: str) -> None:
    """Write a step to the log."""
    print(f"life: {step} in {os.getpid()}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def lifespan() -> Iterator[None]:
    """Tell both ends."""
    tell("entered")
    yield
    tell("left")


def app(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Tell that a request came in between."""
    tell("asked")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"asked"]

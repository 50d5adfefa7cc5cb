"""Whether the libraries that a plugin declares are installed, without importing them."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def missing_modules(required: Iterable[str]) -> list[str]:
    """Return those of the modules that are not installed; nothing is imported but the packages that they are in."""
    import importlib.util  # noqa: PLC0415  for listings only, serving does not need it

    return [name for name in required if name not in sys.modules and importlib.util.find_spec(name) is None]

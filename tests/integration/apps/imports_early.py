"""A configuration-time import that keeps what blocks; used by ``early.conf.py``."""

from __future__ import annotations

import ssl  # noqa: F401
from time import sleep

__all__ = ["sleep"]

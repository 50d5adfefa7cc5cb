"""How long the kit waits for anything."""

from __future__ import annotations

import os

DEADLINE = float(os.environ.get("WORKERKIT_TESTING_DEADLINE", "10"))
"""Seconds that any wait may last; passing runs stay far below it. A slow machine may need more."""

"""``python -m workerkit``: the same as the ``workerkit`` command."""

from __future__ import annotations

import sys

from workerkit.cli import main

if __name__ == "__main__":
    sys.exit(main())

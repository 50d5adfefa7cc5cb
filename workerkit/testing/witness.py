"""The worker class under test, with a line in the log for each step of its life.

Selected as ``workerkit.testing.witness:Witness``; the variable WITNESSED names the class that it derives from,
WITNESSED_FILES the files that it may be defined in.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from workerkit import plugins
from workerkit.assembly import worker_class

for file in filter(None, os.environ["WITNESSED_FILES"].split(os.pathsep)):
    plugins.load_file(file)

_base: Any = worker_class(os.environ["WITNESSED"])


def tell(step: str) -> None:
    """Write a step of this process's life to the log."""
    sys.stderr.write(f"life: {step} in {os.getpid()}\n")
    sys.stderr.flush()


class Witness(_base):  # type: ignore[misc]  # which class it is, is the test's business
    """Tells what is called, in the order in which it is."""

    @classmethod
    def prepare(cls, options: Any) -> None:
        """Tell it, and go on."""
        tell("prepare")
        super().prepare(options)

    def boot(self) -> None:
        """Tell it, before and after."""
        tell("boot")
        super().boot()
        tell("booted")

    def run(self) -> None:
        """Tell it, before and after."""
        tell("run")
        super().run()
        tell("returned")

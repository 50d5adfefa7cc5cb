"""The worker classes that are installed here, and what they can run."""

from __future__ import annotations

import importlib.util

from workerkit.assembly import worker_class
from workerkit.plugins import WORKERS, available

_LIBRARIES = frozenset({"gevent", "eventlet"})


def classes_for(job: str) -> list[str]:
    """Return the names of our worker classes that run such jobs and can run here, without their aliases."""
    names = [plugin.name for plugin in available(WORKERS, "workerkit")]
    installed = [name for name in names if name not in _LIBRARIES or importlib.util.find_spec(name)]
    classes = {name: worker_class(name) for name in installed}
    return [name for name, found in classes.items() if job in found.jobs and found.__name__.lower() == f"{name}worker"]

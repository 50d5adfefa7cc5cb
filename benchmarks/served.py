"""What a server is told to serve: an application's name, and the folder and variables that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import ROOT

FOLDER = ROOT / ".benchmarks"


@dataclass(frozen=True, slots=True)
class Application:
    """An application, as `MODULE:VARIABLE` for either interface; no ASGI: there is none of that kind."""

    wsgi: str
    asgi: str = ""
    folder: Path = ROOT
    variables: Mapping[str, str] = field(default_factory=dict)


def _both(name: str) -> Application:
    return Application(f"benchmarks.apps:{name}", f"benchmarks.asgi_apps:{name}")


HELLO = _both("hello")
WAITING = _both("waiting")
UPLOAD = _both("upload")
STREAM = _both("stream")
FILE = _both("file")
SOMETIMES_SLOW = Application("benchmarks.apps:sometimes_slow")
PROCESS = Application("benchmarks.apps:process")


def shop(data: Path = FOLDER) -> Application:
    """Return the example shop, a real Flask application, with its database in a folder that exists."""
    return Application(
        "app:app",
        folder=ROOT / "examples" / "flask_shop",
        variables={"SHOP_DATABASE": str(data / "shop.sqlite3")},
    )

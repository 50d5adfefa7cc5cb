"""Where a server can be asked and told; apart from the server, so that its client imports no more than this."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

_AUTO = "auto"
_LONGEST = 107  # bytes: sockaddr_un has 108, the last of them zero


def usual_path() -> str:
    """Return what ``auto`` means: a file in the user's own folder, for which the system made the variable, or /run."""
    return os.path.join(os.environ.get("XDG_RUNTIME_DIR") or "/run", "workerkit.ctl")


def _parse_path(text: str) -> str:
    return usual_path() if text == _AUTO else text


def _check_path(path: str) -> None:
    if not path or path.startswith("@"):
        # An abstract name has no permissions: whoever is on the machine could stop the server.
        raise ValueError(f"must be the path of a file, or {_AUTO}")
    if len(os.fsencode(path)) > _LONGEST:
        raise ValueError(f"must be at most {_LONGEST} bytes long")


def _parse_mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError("must be an octal mode, such as 600") from None


def _check_mode(mode: int) -> None:
    if not 0 <= mode <= 0o777:
        raise ValueError("must be an octal mode from 0 to 777")


@dataclass(frozen=True, eq=False, repr=False)
class ControlOptions:
    """The control socket."""

    control_socket: str | None = field(
        default=None,
        metadata={
            "metavar": "PATH",
            "restart": True,
            "parse": _parse_path,
            "check": _check_path,
            "help": "A Unix socket at which `workerkit ctl` can ask and command this server. None: there is none. "
            "auto: workerkit.ctl in $XDG_RUNTIME_DIR, or else in /run.",
        },
    )
    control_socket_mode: int = field(
        default=0o600,
        metadata={
            "metavar": "MODE",
            "restart": True,
            "parse": _parse_mode,
            "format": "{:o}".format,
            "check": _check_mode,
            "help": "Permissions (octal) of the control socket: whoever may write to it may stop the server.",
        },
    )

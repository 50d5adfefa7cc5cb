"""What ``ps`` and ``top`` call the processes of a server, where the distribution setproctitle is installed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False, repr=False)
class TitleOptions:
    """Process names."""

    proc_name: str | None = field(
        default=None,
        metadata={
            "flags": ("-n", "--name"),
            "metavar": "NAME",
            "help": "What ps and top show in brackets for each process; otherwise what is served. "
            "Needs workerkit[proctitle].",
        },
    )


def show_title(role: str, name: str) -> None:
    """Let ``ps`` show this process as ``workerkit: ROLE [NAME]``; do nothing where setproctitle is not installed.

    Called in children, and in the arbiter only where the process is its own: nobody renames a caller's program.
    """
    try:
        import setproctitle  # noqa: PLC0415  an extra
    except ImportError:
        return
    setproctitle.setproctitle(f"workerkit: {role} [{name}]" if name else f"workerkit: {role}")

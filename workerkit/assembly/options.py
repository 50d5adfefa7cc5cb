"""The settings that no single part owns: what is served, by how many workers, of which kind."""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST_WORKERS = 512  # half of the scoreboard's rows: a reload overlaps
_WORKERS = f"must be auto, a number from 0 to {_MOST_WORKERS}, or a range such as 2..8"


class WorkerRange(int):
    """A range of workers, ``2..8``; as a number, the fewest."""

    most: int

    def __new__(cls, fewest: int, most: int) -> WorkerRange:
        """Return one; raises ``ValueError`` for what is no range."""
        if not 1 <= fewest < most:
            raise ValueError(f"{_WORKERS}, not {fewest}..{most}")
        made = super().__new__(cls, fewest)
        made.most = most
        return made

    def __str__(self) -> str:
        return f"{int(self)}..{self.most}"

    def __repr__(self) -> str:
        return str(self)


def _parse_workers(text: str) -> int:
    fewest, dots, most = text.partition("..")
    if not dots:
        return _parse_number(text)
    bounds = _parse_number(fewest), _parse_number(most)
    # One of them may be as many as there are processors here, and leave nothing to decide.
    return bounds[0] if bounds[0] == bounds[1] else WorkerRange(*bounds)


def _parse_number(text: str) -> int:
    if text.strip().lower() == "auto":
        from workerkit.process.cpus import usable_cpus  # noqa: PLC0415  it needs pathlib, which is slow to import

        return usable_cpus()
    if not text.strip().isdecimal():
        raise ValueError(f"{_WORKERS}, not {text!r}")
    return int(text)


def _check_env(value: tuple[str, ...]) -> None:
    for entry in value:
        name, sign, _ = entry.partition("=")
        if not name or not sign or "\0" in entry:
            raise ValueError(f"expected NAME=VALUE, got {entry!r}")


def _check_workers(value: int) -> None:
    if not 0 <= value <= getattr(value, "most", value) <= _MOST_WORKERS:
        raise ValueError(_WORKERS)


@dataclass(frozen=True, eq=False, repr=False)
class ApplicationOptions:
    """The application."""

    wsgi_app: str | None = field(
        default=None,
        metadata={
            "positional": True,
            "aliases": ("serve",),
            "metavar": "MODULE:APP",
            "help": "What to serve: MODULE:VAR, MODULE (its application, or app), or MODULE:factory('a', k=1).",
        },
    )
    factory: bool = field(default=False, metadata={"help": "Call what MODULE:APP names; it returns the application."})
    protocol: str | None = field(
        default=None,
        metadata={
            "metavar": "NAME",
            "help": "How it is served: a name that `workerkit protocols` lists, or MODULE:CLASS. Otherwise what is "
            "served decides: a function of one argument is a dialogue, a WSGI application takes two.",
        },
    )
    preload_app: bool = field(
        default=False,
        metadata={
            "flags": ("--preload",),
            "help": "Load the application once, in a process that workers are forked from: they share its memory.",
        },
    )


@dataclass(frozen=True, eq=False, repr=False)
class ImportOptions:
    """The application."""

    chdir: str | None = field(
        default=None, metadata={"metavar": "FOLDER", "help": "Change to this folder before the application is loaded."}
    )
    pythonpath: str | None = field(
        default=None,
        metadata={"metavar": "FOLDERS", "help": "Folders to look for modules in first, separated by commas."},
    )
    raw_env: tuple[str, ...] = field(
        default=(),
        metadata={
            "flags": ("-e", "--env"),
            "metavar": "NAME=VALUE",
            "check": _check_env,
            "help": "A variable for the application, set before it is loaded; repeatable.",
        },
    )
    plugin: tuple[str, ...] = field(
        default=(),
        metadata={
            "metavar": "FILE",
            "help": "A Python file that worker classes, arbiters and protocols may be named from; repeatable.",
        },
    )


@dataclass(frozen=True, eq=False, repr=False)
class PoolOptions:
    """Workers."""

    workers: int = field(
        default=1,
        metadata={
            "flags": ("-w",),
            "metavar": "N",
            "variables": ("WEB_CONCURRENCY",),
            "parse": _parse_workers,
            "check": _check_workers,
            "help": "How many worker processes; auto: one for each usable processor; MIN..MAX: as many as the load "
            "asks for; 0: serve in this very process.",
        },
    )
    worker_class: str = field(
        default="sync",
        metadata={
            "flags": ("-k",),
            "metavar": "NAME",
            "help": "How a worker runs requests: a name that `workerkit workers` lists, or MODULE:CLASS.",
        },
    )


@dataclass(frozen=True, eq=False, repr=False)
class ArbiterChoice:
    """The arbiter."""

    arbiter: str | None = field(
        default=None,
        metadata={
            "metavar": "NAME",
            "help": "What keeps the workers, as `workerkit arbiters` lists; otherwise prefork, or inline for -w 0.",
        },
    )

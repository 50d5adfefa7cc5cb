"""``workerkit app:app``: the words become settings, the settings become an arbiter, and it runs.

What is asked of the command itself is read first, and refuses nothing that it does not know; ``config.pools`` does
the rest.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from workerkit import plugins
from workerkit.cli.options import CommandOptions
from workerkit.cli.report import report
from workerkit.config.commandline import parse
from workerkit.config.files import FileOptions, find_file, read_file
from workerkit.config.pools import Plan, gather
from workerkit.config.schema import Schema
from workerkit.config.settings import Settings
from workerkit.errors import WorkerkitError

if TYPE_CHECKING:
    from workerkit.process.attachment import Attachment

_COMMAND = Schema.of(FileOptions, CommandOptions)
_USAGE = """\
Example: workerkit app:app --workers 4 --bind 0.0.0.0:8000

Usage: workerkit [OPTIONS] [MODULE:APP]
       workerkit ctl status | reload | reopen | stop
       workerkit workers | arbiters | protocols [NAME]
       workerkit new-plugin NAME"""


class Arbiter(Protocol):
    """What the command needs of an arbiter."""

    def start(self) -> None:
        """Open what can be opened before the first worker, and take the signals."""

    def run(self) -> int:
        """Serve until told to stop; return the exit code."""


class Assembly(Protocol):
    """What the command needs of ``workerkit.assembly``."""

    @property
    def PLAN(self) -> Plan:  # noqa: N802  a constant of the module
        """Which settings there are."""

    def assemble(
        self, settings: Settings, /, *, read: Callable[[], Settings], attachments: Sequence[Attachment] = ()
    ) -> Arbiter:
        """Return an arbiter that is ready to run; ``read`` is for its reloads, ``attachments`` live in its loop."""

    def check(self, settings: Settings, /) -> str:
        """Load everything and return one line that says so."""


def run(words: Sequence[str], assembly: Assembly | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Do what the command line asks for and return the exit code.

    Args:
        words: the words after the program's name.
        assembly: what makes an arbiter of settings; by default ``workerkit.assembly``.
        environ: the variables.

    Raises:
        WorkerkitError: it cannot be done.
    """
    with _collector_at_rest():
        found = _prepare(words, assembly, environ)
        if found is None:
            return 0
        settings, read, assembly = found
        arbiter = None if _is_daemon(settings, environ) else assembly.assemble(settings, read=read)
    return _serve(arbiter) if arbiter is not None else _serve_in_background(settings, read, assembly, environ)


def _serve(arbiter: Arbiter) -> int:
    from workerkit.process.signals import STOP_AND_CONTROL, held_back  # noqa: PLC0415  imports sockets: --help needs none

    # The arbiter takes the signals over. Those that come after its end are late, and change nothing any more.
    with held_back(STOP_AND_CONTROL):
        for number in STOP_AND_CONTROL:
            signal.signal(number, signal.SIG_IGN)
        arbiter.start()
    return arbiter.run()


def _is_daemon(settings: Settings, environ: Mapping[str, str]) -> bool:
    # Whoever is started by a daemon that is to be upgraded is in the background already, and watched by its parent.
    if "WORKERKIT_FDS" in environ:
        return False
    return settings.schema.find("daemon") is not None and bool(settings["daemon"])


def _serve_in_background(
    settings: Settings, read: Callable[[], Settings], assembly: Assembly, environ: Mapping[str, str]
) -> int:
    """Serve in a daemon; return when it is up, or why it is not."""
    from workerkit.process.daemon import Starter, daemonize, refuse_where_senseless  # noqa: PLC0415  few want it

    refuse_where_senseless(environ, settings["workers"])
    if settings["errorlog"] == "-":
        _warn("a daemon has no standard error: its log is lost unless --error-logfile names a file")

    def serve(starter: Starter) -> int:
        try:
            with _collector_at_rest():
                arbiter = assembly.assemble(settings, read=read, attachments=(starter,))
            return _serve(arbiter)
        except WorkerkitError as error:
            starter.tell(error.exit_code, report(error))
            return error.exit_code

    exit_code, message = daemonize(serve)
    if message:
        print(message, file=sys.stderr)
    return exit_code


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Import and assemble without garbage collections, and leave all that was made out of later ones.

    Hardly any of it is garbage, so looking for some would only delay the start. And since a collection writes to each
    object that it looks at, the workers' collections would copy the memory that they share with the arbiter.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _prepare(
    words: Sequence[str], assembly: Assembly | None, environ: Mapping[str, str]
) -> tuple[Settings, Callable[[], Settings], Assembly] | None:
    """Return the settings, what reads them again, and what makes an arbiter of them.

    None if the words asked for an answer only, which was printed.
    """
    command = parse(words, _COMMAND, strict=False)
    if command.get("version"):
        print(_version())
        return None
    _import_from_here()
    if assembly is None:
        assembly = _real_assembly()
    if command.get("help"):
        print(_help_page(words, command, assembly, environ))
        return None
    read = _Reading(words, command, assembly, dict(environ))
    settings = read()
    if command.get("print_config"):
        print("\n".join(settings.lines()))
        return None
    for warning in settings.warnings:
        _warn(warning)
    if command.get("check_config"):
        print(assembly.check(settings))
        return None
    return settings, read, assembly


def _warn(warning: str) -> None:
    print(f"workerkit: warning: {warning}", file=sys.stderr)


def _real_assembly() -> Assembly:
    from workerkit import assembly  # noqa: PLC0415  imports all the layers: --version does not need them

    return assembly


class _Reading:
    """Reads the settings from scratch whenever it is called, Python files with the modules that they import."""

    def __init__(
        self, words: Sequence[str], command: Mapping[str, object], assembly: Assembly, environ: Mapping[str, str]
    ) -> None:
        self._arguments = (words, command, assembly, environ)
        self._imported: set[str] = set()

    def __call__(self) -> Settings:
        if self._imported:
            self._forget_modules()
        before = set(sys.modules)
        settings = _settings(*self._arguments)
        self._imported |= sys.modules.keys() - before
        return settings

    def _forget_modules(self) -> None:
        import importlib  # noqa: PLC0415  reloads only

        for name in self._imported:
            if name in sys.modules and _is_the_operators(sys.modules[name]):
                del sys.modules[name]
        importlib.invalidate_caches()


def _is_the_operators(module: object) -> bool:
    """Tell whether a module was written for this server: neither ours, nor installed, nor the standard library's."""
    path = getattr(module, "__file__", None) or ""
    name = getattr(module, "__name__", "").partition(".")[0]
    installed = {"site-packages", "dist-packages"}.intersection(path.split(os.sep))
    return path.endswith(".py") and name not in {"workerkit", *sys.stdlib_module_names} and not installed


def _settings(
    words: Sequence[str], command: Mapping[str, object], assembly: Assembly, environ: Mapping[str, str]
) -> Settings:
    location = Settings.peek("config", _COMMAND, command, environ)
    file = read_file(str(location)) if location else find_file()
    return gather(
        assembly.PLAN, words=words, command=_COMMAND, environ=environ, file=file, other_sections=_plugin_names
    )


def _plugin_names() -> list[str]:
    return [plugin.name for group in (plugins.WORKERS, plugins.PROTOCOLS) for plugin in plugins.available(group)]


def _help_page(
    words: Sequence[str], command: Mapping[str, object], assembly: Assembly, environ: Mapping[str, str]
) -> str:
    import shutil  # noqa: PLC0415  --help only

    from workerkit.config.help import page  # noqa: PLC0415  --help only

    try:
        schema = _settings([word for word in words if word not in {"-h", "--help"}], command, assembly, environ).schema
    except WorkerkitError:  # somebody who got a flag or a file wrong needs the page all the more
        schema = Schema.of(*assembly.PLAN.core)
    return page(_USAGE, schema.union(_COMMAND), shutil.get_terminal_size().columns)


def _version() -> str:
    import importlib.metadata  # noqa: PLC0415  slow to import, and serving does not need it

    return f"workerkit {importlib.metadata.version('workerkit')} (Python {sys.version.partition(' ')[0]})"


def _import_from_here() -> None:
    """Let applications and configuration files import from here, as ``python -m`` would."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)

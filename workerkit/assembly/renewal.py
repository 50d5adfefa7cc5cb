"""What a reload does first: all settings are read again, from scratch, and become pools; or nothing has changed."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workerkit.arbiter.base import ArbiterOptions, Pool, Renewed
from workerkit.assembly.options import ArbiterChoice, ImportOptions
from workerkit.config.settings import Settings
from workerkit.control.options import ControlOptions
from workerkit.errors import ConfigError
from workerkit.process import program
from workerkit.process.daemon import DaemonOptions
from workerkit.telemetry.logs import LogOptions, Logs

_SET_AT_START = (ArbiterChoice, DaemonOptions, ControlOptions, LogOptions)
_ALSO_SET_AT_START = ("pidfile",)


class Renewal:
    """What an arbiter is given as ``renew``.

    Args:
        settings: Those that were in force at the start.
        read: Reads them again; raises ``WorkerkitError``.
        make_pools: Makes pools of them; the same.
        logs: Where it is said what a reload cannot change.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        make_pools: Callable[[Settings], list[Pool]],
        logs: Logs,
    ) -> None:
        self._at_start = settings
        self._read = read
        self._make_pools = make_pools
        self._log = logs.error
        self._path = list(sys.path)
        program.remember()

    def __call__(self) -> Renewed:
        """Read and check everything, as at the start: in the same folder, by its name, with the same variables.

        Raises:
            ConfigError: The folder is gone, or there are to be no workers.
            WorkerkitError: A setting or a plugin cannot be used.
        """
        with _put_back_if_it_fails():
            self._stand_as_at_the_start()
            settings = self._read()
            enter(settings.build(ImportOptions))
            pools = self._make_pools(settings)
            if not all(pool.workers for pool in pools):
                raise ConfigError("workers is 0, which means to serve without processes; that needs a restart")
        for warning in settings.warnings:
            self._log.warning("%s", warning)
        changed = [name for name in _set_at_start() if settings[name] != self._at_start[name]]
        if changed:
            self._log.warning("These settings are other ones now, which takes a restart: %s", ", ".join(changed))
        return Renewed(pools, settings.build(ArbiterOptions))

    def _stand_as_at_the_start(self) -> None:
        start = program.remembered()
        try:
            os.chdir(start.folder)
        except OSError as error:
            raise ConfigError(f"cannot change to the folder {start.folder}: {error.strerror}") from error
        _set_variables(start.variables)
        sys.path[:] = self._path


def enter(options: ImportOptions) -> None:
    """Make the process one that the application can be imported in: its variables, its folder, its modules.

    Raises:
        ConfigError: The folder cannot be entered.
    """
    for variable in options.raw_env:
        name, _, value = variable.partition("=")
        os.environ[name] = value
    if options.chdir:
        try:
            os.chdir(options.chdir)
        except OSError as error:
            raise ConfigError(f"cannot change to the folder {options.chdir}: {error.strerror}") from error
        sys.path.insert(0, os.getcwd())
    for folder in reversed((options.pythonpath or "").split(",")):
        if folder:
            sys.path.insert(0, os.path.abspath(folder))


def _set_at_start() -> Iterator[str]:
    for options in _SET_AT_START:
        for field in dataclasses.fields(options):
            yield field.name
    yield from _ALSO_SET_AT_START


@contextmanager
def _put_back_if_it_fails() -> Iterator[None]:
    # By descriptor: the folder may have no name any more.
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY)
    path, variables = list(sys.path), dict(os.environ)
    try:
        yield
    except BaseException:
        os.fchdir(folder)
        sys.path[:] = path
        _set_variables(variables)
        raise
    finally:
        os.close(folder)


def _set_variables(variables: dict[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)

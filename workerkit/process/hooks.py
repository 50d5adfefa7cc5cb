"""Hooks: functions of the operator's own, called at moments in the life of a server.

They have gunicorn's names and arguments, and come from a Python configuration file or as keyword arguments. What they
are given, ``server`` and ``worker``, are facades: the attributes that hooks in the world use, and no way into an
arbiter or a worker class. Whatever else is set on a facade stays there; what is set before a fork is there after it.

Who calls what, and in which process:

    arbiter   on_starting, nworkers_changed, when_ready, pre_fork, child_exit, on_reload, pre_exec, on_exit
    worker    post_fork, first_worker_init, post_worker_init, worker_int, worker_abort, worker_exit
    in a job  pre_request, post_request

A hook that raises while the server starts ends the start, as a wrong setting does; later, the arbiter logs it and
goes on. In a worker that boots it is a boot error.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from workerkit.errors import BootError, ConfigError
from workerkit.frames import summary, user_frames
from workerkit.process.scoreboard import Column, Row
from workerkit.records import Record
from workerkit.signatures import arity_of

_Hook = Callable[..., object]


def _called_with(*arguments: str, fewest: int | None = None, help: str) -> dict[str, object]:  # noqa: A002  its key
    """Return the metadata of a hook that is called with these arguments; it may be content with the first ones."""

    def check(function: _Hook) -> None:
        arity = arity_of(function)
        if arity.by_name or arity.needed > len(arguments) or arity.at_most < (fewest or len(arguments)):
            raise ValueError(f"it is called with ({', '.join(arguments)}), which {_name(function)} does not take")

    return {"help": help, "check": check, "metavar": f"({', '.join(arguments)})"}


# Neither compared nor printed: methods that a dataclass makes cost each start some time.
@dataclass(frozen=True, eq=False, repr=False)
class HookOptions:
    """Hooks."""

    on_starting: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server",
            help="Called in the arbiter, before it opens its listeners.",
        ),
    )
    nworkers_changed: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server", "new_value", "old_value",
            help="Called in the arbiter when another number of workers is wanted; old_value is None at the start.",
        ),
    )
    when_ready: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server",
            help="Called in the arbiter, when it listens and before the first worker is made.",
        ),
    )
    pre_fork: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server", "worker",
            help="Called in the arbiter, before a worker is made.",
        ),
    )
    post_fork: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server", "worker",
            help="Called in a new worker, before it gives up privileges and before it imports the application.",
        ),
    )
    first_worker_init: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "worker",
            help="Called in one worker of each start and each reload, when it has loaded the application and "
            "before any worker of this release is ready: for what is to be done once.",
        ),
    )
    post_worker_init: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "worker",
            help="Called in each worker, when it has loaded the application and before it serves.",
        ),
    )
    worker_int: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "worker",
            help="Called in a worker that is to leave at once, by INT or QUIT.",
        ),
    )
    worker_abort: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "worker",
            help="Called in a worker that gets ABRT, which then ends.",
        ),
    )
    pre_request: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "worker", "req",
            help="Called in the job, before the application. If it raises, the answer is 500.",
        ),
    )
    post_request: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "worker", "req", "environ", "resp", fewest=2,
            help="Called in the job, after the application, whatever came of it; with the first two, three or all"
            " four, as it takes them.",
        ),
    )
    worker_exit: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server", "worker",
            help="Called in a worker, just before it ends.",
        ),
    )
    child_exit: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server", "worker",
            help="Called in the arbiter, when a worker has ended.",
        ),
    )
    on_reload: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server",
            help="Called in the arbiter, when a reload begins.",
        ),
    )
    pre_exec: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server",
            help="Called in the process that is to become a new arbiter (USR2), before its program begins.",
        ),
    )
    on_exit: Callable[..., object] | None = field(
        default=None,
        metadata=_called_with(
            "server",
            help="Called in the arbiter, just before it ends.",
        ),
    )


class ServerFacade:
    """``server``, as hooks see it; the same object for as long as the arbiter lives."""

    def __init__(self, log: logging.Logger) -> None:
        self.cfg: object = None
        """The settings as attributes, by gunicorn's names: ``server.cfg.workers``."""
        self.log = log
        self.pid = os.getpid()
        """The arbiter's, in workers too."""
        self.address: list[str] = []
        """Where it listens, as the log names it; empty before ``when_ready``."""
        self.num_workers: int | None = None
        """How many workers are wanted."""
        self.worker_age = 0
        """How many workers have been made."""
        self.by_slot: dict[int, WorkerFacade] = {}
        self.is_starting = True
        """Whether no worker has been ready yet: then a hook that raises ends the start."""

    @property
    def WORKERS(self) -> dict[int, WorkerFacade]:  # noqa: N802  gunicorn's name
        """The workers by pid; in a worker, as they were when it was made."""
        return {worker.pid: worker for worker in self.by_slot.values() if worker.pid is not None}


class WorkerFacade:
    """``worker``, as hooks see it, in the arbiter and in the worker."""

    def __init__(self, server: ServerFacade, cfg: object, identity: Identity, age: int, row: Row) -> None:
        self.cfg = cfg
        self.log = server.log
        self.ppid = server.pid
        self.pid: int | None = None
        """None in ``pre_fork``."""
        self.pool = identity.pool
        self.slot = identity.slot
        self.number = identity.number
        self.generation = identity.generation
        self.age = age
        """How many workers have been made before it, plus one."""
        self.alive = True
        self.booted = False
        self._row = row
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process; None in ``pre_fork``."""
        return self._pid or self._row[Column.PID] or None

    @pid.setter
    def pid(self, pid: int | None) -> None:
        self._pid = pid

    @property
    def nr(self) -> int:
        """How many requests it has answered."""
        return int(self._row[Column.REQUESTS])

    def __repr__(self) -> str:
        return f"<worker {self.number} pid={self.pid} slot={self.slot}>"


class Identity(Record):
    """Which worker it is."""

    pool: str
    slot: int
    number: int
    generation: int


class Hooks:
    """The hooks of one release, and what they are given. Made in the arbiter; a fork inherits it.

    Args:
        options: The functions.
        cfg: The settings that they see.
        server: What they see of the arbiter; shared by all releases.
    """

    def __init__(self, options: HookOptions, cfg: object, server: ServerFacade) -> None:
        self.options = options
        self.server = server
        self.worker: WorkerFacade | None = None
        """The worker that this process is; None in the arbiter and in a mold."""
        self._cfg = cfg
        self._interrupted = False
        # Who has no hooks does not pay for what they would be given.
        self._is_used = any(function is not None for function in vars(options).values())

    @property
    def on_requests(self) -> bool:
        """Whether there are hooks around requests."""
        return self.options.pre_request is not None or self.options.post_request is not None

    @property
    def once(self) -> bool:
        """Whether one worker of each release has something to do before the others are made."""
        return self.options.first_worker_init is not None

    # -- in the arbiter -------------------------------------------------------------------------------------------

    def starting(self, workers: int) -> None:
        """Call ``nworkers_changed`` for the first time, then ``on_starting``.

        Args:
            workers: How many are wanted, in all pools.

        Raises:
            ConfigError: A hook raised; it is the cause.
        """
        self.server.pid, self.server.is_starting = os.getpid(), True
        self.wants(workers)
        self._call("on_starting", self.server)

    def listening(self, addresses: Iterable[str]) -> None:
        """Call ``when_ready``; raises as ``starting`` does."""
        self.server.address = list(addresses)
        self._call("when_ready", self.server)

    def succeed(self, before: Hooks, workers: int, addresses: Iterable[str]) -> None:
        """Go on where the hooks of the release before have been: call ``nworkers_changed`` if so, and ``on_reload``."""
        self.server = before.server
        self.server.address = list(addresses)
        self.wants(workers)
        self._call("on_reload", self.server)

    def wants(self, workers: int) -> None:
        """Call ``nworkers_changed``, if another number of workers is wanted than before."""
        before, self.server.num_workers = self.server.num_workers, workers
        if workers != before:
            self._call("nworkers_changed", self.server, workers, before)

    def before_fork(self, identity: Identity, row: Row) -> None:
        """Call ``pre_fork`` for a worker that is about to be made; raises as ``starting`` does, until one is ready."""
        server = self.server
        server.worker_age += 1
        if not self._is_used:
            return
        worker = server.by_slot[identity.slot] = WorkerFacade(server, self._cfg, identity, server.worker_age, row)
        self._call("pre_fork", server, worker)

    def forked(self, slot: int, pid: int) -> None:
        """Learn a worker's pid."""
        if slot in self.server.by_slot:
            self.server.by_slot[slot].pid = pid

    def booted(self, slot: int) -> None:
        """Learn that a worker is ready. From now on, a hook that raises is logged: serving is worth more."""
        self.server.is_starting = False
        if slot in self.server.by_slot:
            self.server.by_slot[slot].booted = True

    def exited(self, slot: int) -> None:
        """Call ``child_exit``, if it was a worker, and one that was made."""
        worker = self.server.by_slot.pop(slot, None)
        if worker is not None and worker.pid is not None:
            worker.alive, worker.pid = False, worker.pid  # its row in the scoreboard is soon another's
            self._call("child_exit", self.server, worker)

    def before_exec(self) -> None:
        """Call ``pre_exec``, in the process that is to become another arbiter."""
        self._call("pre_exec", self.server)

    def exiting(self) -> None:
        """Call ``on_exit``; what it raises is logged."""
        self.server.is_starting = False
        self._call("on_exit", self.server)

    # -- in a worker ----------------------------------------------------------------------------------------------

    def become(self, identity: Identity, row: Row, *, inherited: bool) -> None:
        """Be a worker, and call ``post_fork``.

        Args:
            identity: Which one.
            row: Its own in the scoreboard.
            inherited: Whether the arbiter itself has forked it: then it goes on with what ``pre_fork`` was given. A
                mold knows only the workers that there were when it was made itself.

        Raises:
            BootError: The hook raised.
        """
        if not self._is_used:
            return
        worker = self.server.by_slot.get(identity.slot) if inherited else None
        if worker is None:
            worker = WorkerFacade(self.server, self._cfg, identity, self.server.worker_age + 1, row)
        worker.pid = os.getpid()
        self.worker = worker
        self._call_booting("post_fork", self.server, worker)

    def loaded(self, *, first: bool) -> None:
        """Call ``first_worker_init``, in the first worker of a release, then ``post_worker_init``; raises as above."""
        if self.worker is None:
            return
        if first:
            self._call_booting("first_worker_init", self.worker)
        self._call_booting("post_worker_init", self.worker)
        self.worker.booted = True

    def interrupted(self) -> None:
        """Call ``worker_int``, once; perhaps in a signal handler."""
        if self.worker is not None and not self._interrupted:
            self._interrupted = True
            self.worker.alive = False
            self._call_leaving("worker_int", self.worker)

    def aborted(self) -> None:
        """Call ``worker_abort`` and ``worker_exit``; in a signal handler, after which the process ends."""
        if self.worker is not None:
            self.worker.alive = False
            self._call_leaving("worker_abort", self.worker)
            self.leaving()

    def leaving(self) -> None:
        """Call ``worker_exit``; never raises."""
        if self.worker is not None:
            self.worker.alive = False
            self._call_leaving("worker_exit", self.server, self.worker)

    # -- calling ----------------------------------------------------------------------------------------------------

    def _call(self, name: str, *arguments: object) -> None:
        error = self._raised_by(name, *arguments)
        if error is not None and self.server.is_starting:
            raise ConfigError(f"the hook {name} failed: {summary(error)}") from error
        if error is not None:
            self._report(name, error)

    def _call_booting(self, name: str, *arguments: object) -> None:
        error = self._raised_by(name, *arguments)
        if error is not None:
            raise BootError(f"the hook {name} failed: {summary(error)}", user_frames(error)) from error

    def _call_leaving(self, name: str, *arguments: object) -> None:
        error = self._raised_by(name, *arguments)
        if error is not None:
            self._report(name, error)

    def _raised_by(self, name: str, *arguments: object) -> Exception | None:
        """Call a hook, if it is set, and return what it raised."""
        function: _Hook | None = getattr(self.options, name)
        if function is None:
            return None
        self.server.cfg = self._cfg
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001  what it means depends on the moment
            return error
        return None

    def _report(self, name: str, error: Exception) -> None:
        frames = user_frames(error).rstrip()
        self.server.log.error("The hook %s failed: %s%s", name, summary(error), f"\n{frames}" if frames else "")


NO_HOOKS = Hooks(HookOptions(), None, ServerFacade(logging.getLogger("workerkit.error")))


def content_with(function: _Hook, most: int) -> Callable[..., object]:
    """Return a function of ``most`` arguments that hands as many of them on as ``function`` takes."""
    takes = min(arity_of(function).at_most, most)
    return function if takes == most else lambda *arguments: function(*arguments[:takes])


def _name(function: _Hook) -> str:
    return getattr(function, "__qualname__", repr(function))

"""Hooks: what they are called with, when, and what becomes of those that raise."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest

from workerkit.config.schema import Schema
from workerkit.errors import BootError, ConfigError
from workerkit.process.hooks import NO_HOOKS, HookOptions, Hooks, Identity, ServerFacade, WorkerFacade, content_with
from workerkit.process.scoreboard import Column, Scoreboard

SCHEMA = Schema.of(HookOptions)


class Cfg:
    """Settings, as assembly would hand them over."""

    workers = 2


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.DEBUG)
    return logging.getLogger("tests.hooks")


@pytest.fixture
def noted() -> list[tuple[Any, ...]]:
    return []


def hooks_of(log: logging.Logger, **functions: Callable[..., object]) -> Hooks:
    return Hooks(HookOptions(**functions), Cfg(), ServerFacade(log))


def raises(*_: object) -> None:
    raise LookupError("no such table")


ROW = Scoreboard(rows=4).row(1)
FIRST = Identity("default", slot=1, number=0, generation=1)


def test_nobody_pays_for_hooks_that_are_not_set(log: logging.Logger) -> None:
    """Without hooks, no facade of a worker is made."""
    hooks = hooks_of(log)
    hooks.starting(2)
    hooks.before_fork(FIRST, ROW)
    hooks.become(FIRST, ROW, inherited=True)
    hooks.loaded(first=True)
    hooks.leaving()

    assert (hooks.server.by_slot, hooks.worker, NO_HOOKS.on_requests) == ({}, None, False)


def test_the_number_of_workers_is_told_before_anything_starts(log: logging.Logger, noted: list[Any]) -> None:
    """nworkers_changed comes first, with None for the number before, and again only when the number is another."""
    hooks = hooks_of(
        log,
        nworkers_changed=lambda server, new, old: noted.append((new, old, server.num_workers)),
        on_starting=lambda server: noted.append(("starting", server.pid, server.cfg.workers)),
    )
    hooks.starting(2)
    hooks.wants(2)
    hooks.wants(3)

    assert noted == [(2, None, 2), ("starting", os.getpid(), 2), (3, 2, 3)]


def test_a_worker_is_one_object_from_its_making_to_its_end(log: logging.Logger, noted: list[Any]) -> None:
    """What pre_fork sets on the worker is there in post_fork and in child_exit, and WORKERS has it by pid between."""

    def pre_fork(server: Any, worker: Any) -> None:
        worker.nickname = len(server.WORKERS) + 1
        noted.append((worker.pid, worker.age))

    hooks = hooks_of(
        log,
        pre_fork=pre_fork,
        post_fork=lambda server, worker: noted.append((worker.pid == os.getpid(), worker.nickname)),
        child_exit=lambda server, worker: noted.append((worker.nickname, worker.alive, dict(server.WORKERS))),
    )
    row = Scoreboard(rows=1).row(0)
    hooks.before_fork(FIRST, row)
    noted.append(hooks.server.WORKERS)
    hooks.become(FIRST, row, inherited=True)
    row[Column.PID] = 4711
    hooks.booted(1)
    (worker,) = hooks.server.WORKERS.values()
    hooks.exited(1)
    row[Column.PID] = 0

    assert noted == [(None, 1), {}, (True, 1), (1, False, {})]
    assert (worker.pid, worker.booted) == (os.getpid(), True)


def test_a_worker_of_a_mold_has_a_facade_of_its_own(log: logging.Logger) -> None:
    """Where the slot was another worker's when the mold was made, the new worker does not become that one."""
    hooks = hooks_of(log, post_fork=lambda server, worker: None)
    hooks.before_fork(FIRST, ROW)
    hooks.become(FIRST.replace(number=1), ROW, inherited=False)

    assert hooks.worker is not None
    assert (hooks.worker.number, hooks.worker.pid) == (1, os.getpid())


def test_the_end_of_a_process_that_is_no_worker_is_nobodys_business(log: logging.Logger, noted: list[Any]) -> None:
    """A mold, and a worker that could not be forked, end without child_exit."""
    hooks = hooks_of(log, child_exit=lambda server, worker: noted.append(worker))
    hooks.exited(7)
    hooks.before_fork(FIRST, ROW)
    hooks.exited(1)

    assert noted == []


def test_only_the_first_worker_of_a_release_does_what_is_done_once(log: logging.Logger, noted: list[Any]) -> None:
    """first_worker_init precedes post_worker_init in the first worker, and is not called in others."""
    hooks = hooks_of(
        log,
        first_worker_init=lambda worker: noted.append("once"),
        post_worker_init=lambda worker: noted.append("each"),
    )
    hooks.become(FIRST, ROW, inherited=True)
    hooks.loaded(first=True)
    hooks.loaded(first=False)

    assert (hooks.once, noted) == (True, ["once", "each", "each"])


def test_a_worker_is_told_once_that_it_is_interrupted(log: logging.Logger, noted: list[Any]) -> None:
    """A signal and the order that comes of it are one worker_int."""
    hooks = hooks_of(log, worker_int=lambda worker: noted.append(worker.alive))
    hooks.interrupted()
    hooks.become(FIRST, ROW, inherited=True)
    hooks.interrupted()
    hooks.interrupted()

    assert noted == [False]


def test_a_worker_counts_its_requests(log: logging.Logger) -> None:
    """``worker.nr`` is what the scoreboard says, in whichever process it is asked."""
    row = Scoreboard(rows=1).row(0)
    worker = WorkerFacade(ServerFacade(log), Cfg(), FIRST, 1, row)
    row[Column.REQUESTS] = 5

    assert (worker.nr, repr(worker)) == (5, "<worker 0 pid=None slot=1>")


def test_hooks_read_by_a_reload_go_on_with_the_same_server(log: logging.Logger, noted: list[Any]) -> None:
    """on_reload is the new file's, and finds what the old file's hooks have left on the server."""
    before = hooks_of(log, on_starting=lambda server: setattr(server, "mark", 1))
    before.starting(2)
    after = hooks_of(log, on_reload=lambda server: noted.append((server.mark, server.address, server.num_workers)))
    after.succeed(before, 3, ["http://127.0.0.1:8000"])

    assert noted == [(1, ["http://127.0.0.1:8000"], 3)]


@pytest.mark.parametrize("name", ["on_starting", "nworkers_changed"])
def test_a_hook_that_raises_ends_the_start(log: logging.Logger, name: str) -> None:
    """Before anything serves, it is one error that names the hook and keeps the cause."""
    with pytest.raises(ConfigError, match=rf"the hook {name} failed: LookupError: no such table") as raised:
        hooks_of(log, **{name: raises}).starting(1)

    assert isinstance(raised.value.__cause__, LookupError)


def test_a_hook_that_raises_later_is_logged(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """When a worker has been ready, serving goes on: the error and the operator's frames are in the log."""
    hooks = hooks_of(log, pre_fork=raises, on_exit=raises, worker_exit=raises, post_fork=lambda server, worker: None)
    hooks.booted(1)
    hooks.before_fork(FIRST, ROW)
    hooks.exiting()
    hooks.become(FIRST, ROW, inherited=True)
    hooks.leaving()

    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" failed: LookupError")[0] for text in told] == [
        "The hook pre_fork",
        "The hook on_exit",
        "The hook worker_exit",
    ]
    assert "in raises" in told[0]


@pytest.mark.parametrize("name", ["post_fork", "post_worker_init", "first_worker_init"])
def test_a_hook_that_raises_in_a_booting_worker_is_a_boot_error(log: logging.Logger, name: str) -> None:
    """It names the hook and has the operator's own frames."""
    hooks = hooks_of(log, **{name: raises})

    def boot() -> None:
        hooks.become(FIRST, ROW, inherited=True)
        hooks.loaded(first=True)

    with pytest.raises(BootError, match=rf"the hook {name} failed: LookupError") as raised:
        boot()

    assert "raise LookupError" in raised.value.frames


def test_an_aborted_worker_also_leaves(log: logging.Logger, noted: list[Any]) -> None:
    """worker_abort is followed by worker_exit."""
    hooks = hooks_of(
        log,
        worker_abort=lambda worker: noted.append("abort"),
        worker_exit=lambda server, worker: noted.append("exit"),
    )
    hooks.become(FIRST, ROW, inherited=True)
    hooks.aborted()

    assert noted == ["abort", "exit"]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("post_fork", lambda server, worker: None),
        ("post_fork", lambda *arguments: None),
        ("post_fork", lambda server, worker, more=None: None),
        ("on_exit", functools.partial(raises, 1)),
        ("on_exit", print),
        ("post_request", lambda worker, req: None),
        ("post_request", lambda worker, req, environ, resp: None),
    ],
)
def test_a_hook_may_be_any_callable_that_takes_its_arguments(name: str, function: Callable[..., object]) -> None:
    """Functions, partial ones, builtins, and those that take more than they are given."""
    setting = SCHEMA.find(name)

    assert setting is not None
    assert setting.check(function) is function


@pytest.mark.parametrize(
    ("name", "function", "called"),
    [
        ("post_fork", lambda worker: None, "(server, worker)"),
        ("on_exit", lambda server, worker: None, "(server)"),
        ("on_exit", lambda server, *, worker: None, "(server)"),
        ("post_request", lambda worker: None, "(worker, req, environ, resp)"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(name: str, function: Callable[..., object], called: str) -> None:
    """The message says what it will be called with."""
    setting = SCHEMA.find(name)

    assert setting is not None
    with pytest.raises(ValueError, match="it is called with") as raised:
        setting.check(function)
    assert called in str(raised.value)


def test_a_hook_gets_as_many_arguments_as_it_takes() -> None:
    """post_request was given two, then three, then four in gunicorn's history; all of them work."""
    assert content_with(lambda worker, req: (worker, req), 4)(1, 2, 3, 4) == (1, 2)
    assert content_with(lambda worker, req, environ: environ, 4)(1, 2, 3, 4) == 3
    assert content_with(lambda *arguments: arguments, 4)(1, 2, 3, 4) == (1, 2, 3, 4)

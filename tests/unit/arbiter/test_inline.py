"""The inline arbiter: the worker in this very process."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from realm import Consumer, Realm, pool, when_logged

from workerkit.arbiter.inline import InlineArbiter
from workerkit.control.options import ControlOptions
from workerkit.control.server import ControlServer
from workerkit.errors import BindError, BootError, ConfigError
from workerkit.net.listener import ListenerOptions
from workerkit.process.systemd import Notifier


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    realm = Realm(InlineArbiter, tmp_path)
    yield realm
    realm.close()


def test_it_serves_without_a_fork(realm: Realm) -> None:
    """The worker runs in the process and the thread that called run()."""
    ran_in: list[int] = []

    class Here(Consumer):
        def run(self) -> None:
            ran_in.append(os.getpid())
            arbiter.stop()
            super().run()

    arbiter = realm.make([pool(Here, 0)])

    assert arbiter.run() == 0
    assert ran_in == [os.getpid()]


def test_its_life_has_the_same_steps(realm: Realm) -> None:
    """prepare, boot, the lifespan around run: what a forked worker does."""
    steps: list[str] = []

    class Diary(Consumer):
        @classmethod
        def prepare(cls, options: object) -> None:
            steps.append("prepare")

        def boot(self) -> None:
            steps.append("boot")

        def run(self) -> None:
            steps.append("run")

    @contextlib.contextmanager
    def lifespan() -> Iterator[None]:
        steps.append("enter")
        yield
        steps.append("leave")

    realm.make([pool(Diary, 0, lifespan=lifespan)]).run()

    assert steps == ["prepare", "boot", "enter", "run", "leave"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_it(realm: Realm, number: signal.Signals) -> None:
    """TERM and INT drain and QUIT quits, as orders like any other; the exit code is 0."""
    realm.start(pool(workers=0))
    realm.await_workers(1)
    realm.signal(number)

    assert realm.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2])
def test_signals_about_workers_say_that_there_are_none(realm: Realm, number: signal.Signals) -> None:
    """What is about other processes is one line in the log, and serving goes on."""
    realm.start(pool(workers=0))
    realm.await_workers(1)
    realm.signal(number)

    realm.await_line(f"{number.name} does nothing without workers")
    realm.stop()


def test_handlers_are_put_back(realm: Realm) -> None:
    """Afterwards the caller's handlers are in force again."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    arbiter = realm.make([pool(workers=0)], signals=True)
    with when_logged(arbiter, "Worker ready", lambda: signal.raise_signal(signal.SIGTERM)):
        arbiter.run()

    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_an_application_that_cannot_be_loaded_is_raised_as_it_is(realm: Realm, tmp_path: Path) -> None:
    """The error reaches the caller, with nothing left behind."""

    def broken() -> Any:
        raise BootError("broken")

    listen = ListenerOptions(bind=(f"unix:{tmp_path}/app.sock",))
    arbiter = realm.make([pool(workers=0, serve=broken, listen=listen)], pidfile=str(tmp_path / "app.pid"))

    with pytest.raises(BootError, match="broken"):
        arbiter.run()
    assert os.listdir(tmp_path) == []


def test_a_start_that_fails_leaves_nothing(realm: Realm, tmp_path: Path) -> None:
    """When an address cannot be had, the pid file is removed again."""
    listen = ListenerOptions(bind=("192.0.2.1:8000",))
    arbiter = realm.make([pool(workers=0, listen=listen)], pidfile=str(tmp_path / "app.pid"))

    with pytest.raises(BindError):
        arbiter.run()
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_attached_is_told(realm: Realm) -> None:
    """One warning names the control socket and systemd, where both were asked for and neither will answer."""
    arbiter = realm.make([pool(workers=0)])
    arbiter.attachments = (ControlServer(ControlOptions(control_socket="ctl.sock"), arbiter.log), Notifier("/notify"))
    arbiter.stop()
    arbiter.run()

    [told] = realm.await_line(r"\[WARNING\] (.*)")
    assert told[1] == (
        "Without workers there is no effect of the control socket and what systemd is told (Type=notify); "
        "run with --workers 1 or more"
    )
    assert not (realm.folder / "ctl.sock").exists()


def test_it_has_one_pool(realm: Realm) -> None:
    """Several pools need several processes."""
    with pytest.raises(ConfigError, match="exactly one pool"):
        realm.make([pool(workers=0), pool(workers=0, name="jobs")])


def test_it_cannot_reload(realm: Realm) -> None:
    """The code runs in this process, so a reload only says what to do instead."""
    arbiter = realm.make([pool(workers=0)])
    with when_logged(arbiter, "Worker ready", arbiter.reload), when_logged(arbiter, "Cannot reload", arbiter.stop):
        assert arbiter.run() == 0

    assert "Cannot reload without workers" in realm.drain_log()


def test_the_status_is_this_process(realm: Realm) -> None:
    """The one worker that there is has our own pid."""
    arbiter = realm.make([pool(workers=0)])
    seen: list[Any] = []
    with when_logged(arbiter, "Worker ready", lambda: seen.extend(arbiter.status()) or arbiter.stop()):
        arbiter.run()

    [status] = seen
    assert (status.pid, status.number, status.state) == (os.getpid(), 0, "ready")

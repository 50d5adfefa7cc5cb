"""The two sides of an upgrade, with real processes that are no servers."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workerkit.arbiter import successor, upgrade
from workerkit.arbiter.inheritance import VARIABLE, Inheritance
from workerkit.arbiter.successor import Successor
from workerkit.arbiter.upgrade import Succession
from workerkit.net.listener import Listener, ListenerOptions, open_listeners
from workerkit.process.loop import EventLoop
from workerkit.process.program import Program

SLEEP = "import os; os.read(os.pipe()[0], 1)"
TELL_AND_SLEEP = f"""
import json, os
facts = json.loads(os.environ["{VARIABLE}"])
open("facts.json", "w").write(json.dumps(facts))
os.write(facts["report"], b"ready")
{SLEEP}
"""


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    loop.open()
    yield loop
    loop.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    [listener] = open_listeners(ListenerOptions(bind=(f"unix:{tmp_path}/app.sock",)))
    yield listener
    listener.close()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.INFO)
    return logging.getLogger("upgrade")


def program(text: str, folder: Path) -> Program:
    return Program((sys.executable, "-c", text), str(folder), dict(os.environ), os.getpid())


def await_line(loop: EventLoop, caplog: pytest.LogCaptureFixture, text: str) -> str:
    """Turn the loop until a line holds the text, and return it."""
    deadline = loop.clock() + 10.0
    while not (found := [line for line in caplog.messages if text in line]):
        assert loop.clock() < deadline, caplog.text
        loop.turn(deadline)
    return found[0]


class Line:
    """An arbiter that is ready itself, as far as its succession is concerned."""

    def __init__(self, loop: EventLoop, log: logging.Logger, folder: Path, listener: Listener) -> None:
        self.pidfile = folder / "app.pid"
        self.succession = Succession(str(self.pidfile), loop, log)
        self.succession.begin({})
        self.succession.enter()
        self.ready: list[int] = []
        self._listener = listener

    def start(self, within: float | None = None) -> None:
        more = {"spare": [self._listener.fileno()]}
        self.succession.start_successor({"web": [self._listener]}, more, within, self.ready.append)

    @property
    def old_pidfile(self) -> Path:
        return self.pidfile.with_name("app.pid.oldbin")


@pytest.fixture
def line(
    loop: EventLoop, log: logging.Logger, tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Line]:
    monkeypatch.setattr(upgrade, "remembered", lambda: program(TELL_AND_SLEEP, tmp_path))
    line = Line(loop, log, tmp_path, listener)
    yield line
    line.succession.close()
    for pid in line.ready:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_new_arbiter_is_told_what_it_inherits(
    line: Line, loop: EventLoop, tmp_path: Path, listener: Listener
) -> None:
    """By pool and address, with the descriptors, the file of a Unix socket, and whom it is to tell when it is ready."""
    line.start()
    assert line.old_pidfile.read_text() == f"{os.getpid()}\n"
    while not line.ready:
        loop.turn(loop.clock() + 10.0)
    [pid] = line.ready
    facts = json.loads((tmp_path / "facts.json").read_text())

    assert facts["pid"] == pid
    assert facts["predecessor"] == os.getpid()
    assert facts["listeners"] == [["web", listener.bind, listener.fileno(), *(listener.file or ())]]
    assert facts["more"] == {"spare": [listener.fileno()]}
    assert line.succession.has_successor
    assert line.succession.shared_files == {listener.file}
    assert not os.get_inheritable(listener.fileno())


def test_one_upgrade_at_a_time(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    """A second one is refused, with the pid of the first."""
    line.start()
    line.start()

    assert "No upgrade: one is under way already (pid: " in caplog.text
    assert caplog.text.count("Upgrading") == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit(3)", "exited with code 3"),
        ("import os; os.abort()", "was ended by signal 6"),
        (SLEEP, "was not ready within 0.2 s"),
    ],
)
def test_a_new_arbiter_that_does_not_come_up_is_given_up(
    line: Line,
    loop: EventLoop,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    reason: str,
) -> None:
    """The log says why, everything is as before, and the next attempt is welcome."""
    monkeypatch.setattr(upgrade, "remembered", lambda: program(text, tmp_path))
    line.pidfile.unlink()  # as if the new one had written and removed it
    line.start(within=0.2 if text is SLEEP else None)
    await_line(loop, caplog, f"{reason}; this one goes on")

    assert line.pidfile.read_text() == f"{os.getpid()}\n"
    assert not line.old_pidfile.exists()
    assert not line.succession.has_successor
    assert not line.succession.shared_files
    monkeypatch.setattr(upgrade, "remembered", lambda: program(TELL_AND_SLEEP, tmp_path))
    line.start()
    while not line.ready:
        loop.turn(loop.clock() + 10.0)


def test_a_folder_that_is_gone_is_told(
    line: Line, loop: EventLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be started at all ends as any other attempt."""
    monkeypatch.setattr(upgrade, "remembered", lambda: program(SLEEP, tmp_path / "gone"))
    line.start()

    await_line(loop, caplog, "exited with code 126; this one goes on")


def test_an_arbiter_that_is_told_to_stop_takes_its_attempt_along(
    line: Line, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who is not ready yet would go on after the stop that was meant for both."""
    monkeypatch.setattr(upgrade, "remembered", lambda: program(SLEEP, tmp_path))
    line.start()
    line.succession.cancel()

    assert "is not needed any more" in caplog.text
    [started] = re.findall(r"a new arbiter starts \(pid: (\d+)\)", caplog.text)
    with pytest.raises(ChildProcessError):
        os.waitpid(int(started), os.WNOHANG)


@pytest.mark.parametrize(
    ("obstacle", "reason"), [("process 1", "is process 1"), ("unknown", "which interpreter"), ("young", "not ready")]
)
def test_when_there_is_no_upgrade(
    loop: EventLoop,
    log: logging.Logger,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    obstacle: str,
    reason: str,
) -> None:
    """Nothing is begun that would end badly; the log says what is in the way."""
    succession = Succession(None, loop, log)
    succession.begin({})
    if obstacle != "young":
        succession.enter()
    if obstacle == "process 1":
        monkeypatch.setattr(os, "getpid", lambda: 1)
    words = () if obstacle == "unknown" else ("python",)
    monkeypatch.setattr(upgrade, "remembered", lambda: Program(words, "/", {}, 1))
    succession.start_successor({}, {}, None, lambda _pid: None)

    assert reason in caplog.text
    assert "Upgrading" not in caplog.text


def test_a_fork_that_fails_leaves_everything_as_it_was(
    line: Line, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says so, and the pid files are as before."""

    def no_fork(_child: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(successor, "fork", no_fork)
    line.start()

    assert "No upgrade: [Errno 11] Resource temporarily unavailable" in caplog.text
    assert not line.old_pidfile.exists()
    assert line.pidfile.read_text() == f"{os.getpid()}\n"


# -- the new arbiter's side --


def test_what_is_inherited_is_taken_and_the_rest_closed() -> None:
    """The variable is gone once read; what nobody takes is closed; the predecessor hears when we are ready."""
    hearing, report = os.pipe2(os.O_NONBLOCK)
    spare, unknown = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as old:
        given = os.dup(old.fileno())
        facts = {
            "pid": os.getpid(),
            "predecessor": 17,
            "report": report,
            "listeners": [["web", "127.0.0.1:0", given, None, None]],
            "more": {"spare": [spare], "unknown": [unknown]},
        }
        environ = {VARIABLE: json.dumps(facts), "HOME": "/"}
        inheritance = Inheritance(environ)
        options = ListenerOptions(bind=("127.0.0.1:0",))
        [listener] = open_listeners(options, inherited=inheritance.sockets, pool="web")
        assert inheritance.take("spare") == [spare]
        inheritance.close_rest()

        assert environ == {"HOME": "/"}
        assert inheritance.predecessor == 17
        assert listener.fileno() == given
        assert not any(map(os.get_inheritable, (spare, report, given)))
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.close(unknown)
        with pytest.raises(BlockingIOError):
            os.read(hearing, 10)
        inheritance.enter()
        assert os.read(hearing, 10) == b"ready"
        assert os.read(hearing, 10) == b""
        listener.close()
    os.close(spare)
    os.close(hearing)


def test_a_variable_that_was_meant_for_another_process_means_nothing() -> None:
    """Whatever is started with our variables by accident has no descriptors of ours."""
    environ = {VARIABLE: json.dumps({"pid": os.getppid(), "report": 1, "more": {"spare": [0]}})}
    inheritance = Inheritance(environ)
    inheritance.close_rest()
    inheritance.enter()

    assert environ == {}
    assert inheritance.predecessor is None
    assert os.fstat(0)


def test_a_successor_that_ends_once_it_is_ready_is_told(
    loop: EventLoop, log: logging.Logger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While the old arbiter still finishes what it has, it sees what becomes of the new one."""
    successor = Successor(loop, log, lambda _pid: None, lambda: pytest.fail("it was ready"))
    text = TELL_AND_SLEEP.replace(SLEEP, "raise SystemExit(1)")
    successor.start(program(text, tmp_path), {}, [], None)

    await_line(loop, caplog, "exited with code 1")
    assert successor.ready

"""workerkit as a library: embedded, in scripts of its user's own, and from tests."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from harness import APPS, DEADLINE, environment

from workerkit.testing import ServerFailed, running

PREAMBLE = """
import os, signal, sys, threading, urllib.request
import workerkit

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

def get(arbiter):
    url = arbiter.listeners["default"][0].url
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()
"""


def script(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a user's own program to its end."""
    path = folder / "program.py"
    path.write_text(PREAMBLE + text)
    return subprocess.run(
        [sys.executable, str(path), *words],
        cwd=folder,
        env=environment((APPS,)),
        capture_output=True,
        text=True,
        timeout=DEADLINE * 2,
        check=False,
    )


def test_an_embedded_arbiter_serves_and_is_stopped_by_its_program(tmp_path: Path) -> None:
    """An arbiter runs in the program's process, reads no argv, returns, and leaves the signal handlers alone."""
    done = script(
        tmp_path,
        """
handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
arbiter = workerkit.create_arbiter(app, bind="127.0.0.1:0", workers=2)
arbiter.start()

def client():
    print("answered by another process:", get(arbiter) != str(os.getpid()))
    arbiter.stop()

threading.Timer(0, client).start()
print("exit code:", arbiter.run())
print("handlers untouched:", handlers == {number: signal.getsignal(number) for number in signal.valid_signals()})
""",
        "--workers",
        "nonsense",
    )

    assert done.stdout.splitlines() == ["answered by another process: True", "exit code: 0", "handlers untouched: True"]
    assert done.returncode == 0, done.stderr


def test_an_application_that_cannot_be_loaded_is_an_exception(tmp_path: Path) -> None:
    """``run`` raises what the command would print, with the user's own frames, and never exits the program."""
    done = script(
        tmp_path,
        """
try:
    workerkit.run("fails_on_import", bind="127.0.0.1:0")
except workerkit.BootError as error:
    print(type(error).__name__, error.exit_code, bool(error.frames))
try:
    workerkit.run("nowhere:app", bind="127.0.0.1:0", worker_clas="sync")
except workerkit.ConfigError as error:
    print("worker_class" in str(error))
""",
    )

    assert done.stdout.splitlines() == ["BootError 3 True", "True"], done.stderr


def test_a_lifespan_is_entered_in_each_worker_and_left_at_its_end(tmp_path: Path) -> None:
    """``lifespan`` brackets each worker's life: after boot, before the first request, and at a graceful end."""
    done = script(
        tmp_path,
        """
import contextlib
record = os.open("record", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

@contextlib.contextmanager
def lifespan():
    os.write(record, f"enter {os.getpid()}\\n".encode())
    yield
    os.write(record, f"leave {os.getpid()}\\n".encode())

arbiter = workerkit.create_arbiter(app, bind="127.0.0.1:0", workers=2, lifespan=lifespan)
arbiter.start()
threading.Timer(0, lambda: (get(arbiter), arbiter.stop())).start()
arbiter.run()
""",
    )
    lines = (tmp_path / "record").read_text().splitlines()
    entered = {line.split()[1] for line in lines if line.startswith("enter")}

    assert done.returncode == 0, done.stderr
    assert len(entered) == 2
    assert entered == {line.split()[1] for line in lines if line.startswith("leave")}
    assert len(lines) == 4


def test_ctrl_c_ends_an_embedded_arbiter_and_reaches_the_program(tmp_path: Path) -> None:
    """Without signal handlers of ours, KeyboardInterrupt comes out of ``run`` after the workers are gone."""
    done = script(
        tmp_path,
        """
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell inherits SIG_IGN
arbiter = workerkit.create_arbiter(app, bind="127.0.0.1:0")
arbiter.start()
threading.Timer(0, lambda: (get(arbiter), os.kill(os.getpid(), signal.SIGINT))).start()
try:
    arbiter.run()
except KeyboardInterrupt:
    print("interrupted", arbiter.status())
""",
    )

    assert done.stdout.splitlines() == ["interrupted []"], done.stderr


def test_reload_and_status_work_from_the_program(tmp_path: Path) -> None:
    """``reload`` replaces the workers; ``status`` names them."""
    done = script(
        tmp_path,
        """
arbiter = workerkit.create_arbiter(app, bind="127.0.0.1:0")
arbiter.start()

def client():
    before = get(arbiter)
    arbiter.reload()
    while (after := get(arbiter)) == before:
        pass
    try:
        (worker,) = [status for status in arbiter.status() if str(status.pid) == after]
        print(worker.generation, worker.state)
    finally:
        arbiter.stop()

threading.Timer(0, client).start()
arbiter.run()
""",
    )

    assert done.stdout.splitlines() == ["2 ready"], done.stderr


def test_a_test_can_have_a_server_of_its_own() -> None:
    """``running`` serves in another process and stops when the block ends."""
    with running("tells_pid:app", pythonpath=str(APPS), workers=2) as server:
        with urllib.request.urlopen(server.url, timeout=DEADLINE) as answer:
            pid = int(answer.read())

        assert pid not in (os.getpid(), server.pid)
    assert server.process.returncode == 0


def test_a_server_that_does_not_start_says_why() -> None:
    """``running`` shows the end of the log when the application is broken."""
    with (
        pytest.raises(ServerFailed, match="there is no module 'nowhere'"),
        running("nowhere:app", pythonpath=str(APPS)),
    ):
        pass


def test_a_local_function_cannot_be_served_from_a_test() -> None:
    """What no other process can import is refused with the reason."""
    with pytest.raises(ValueError, match="make it a name of a module"), running(lambda _environ, _start: []):
        pass

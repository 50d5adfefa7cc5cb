"""The error log and both logs together."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from workerkit.errors import ConfigError
from workerkit.http.fields import Fields
from workerkit.process.fork import fork
from workerkit.telemetry.access import AccessLog
from workerkit.telemetry.logs import LogOptions, Logs
from workerkit.testing.deadline import DEADLINE
from workerkit.testing.processes import wait_for_exit

Open = Callable[..., Logs]


@pytest.fixture
def open_logs(tmp_path: Path) -> Iterator[Open]:
    """Make logs in the test's folder; the loggers of the process are put back afterwards."""

    def make(errorlog: str = "error.log", **options: object) -> Logs:
        path = errorlog if errorlog == "-" else str(tmp_path / errorlog)
        return Logs(LogOptions(errorlog=path, **options))  # type: ignore[arg-type]

    yield make
    Logs(LogOptions())


def test_a_line_has_time_process_and_level(open_logs: Open, tmp_path: Path) -> None:
    """Lines look like gunicorn's, so that what reads those reads these."""
    open_logs().error.warning("low on %s", "memory")

    line = (tmp_path / "error.log").read_text()
    assert re.fullmatch(
        rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{os.getpid()}\] \[WARNING\] low on memory\n", line
    )


def test_the_level_says_what_is_logged(open_logs: Open, tmp_path: Path) -> None:
    """Lines below the level are dropped, however the level is spelled."""
    logs = open_logs(loglevel="Error")
    logs.error.warning("dropped")
    logs.error.error("kept")

    assert (tmp_path / "error.log").read_text().endswith("] kept\n")
    assert "dropped" not in (tmp_path / "error.log").read_text()


def test_a_dash_is_standard_error(open_logs: Open, capfd: pytest.CaptureFixture[str]) -> None:
    """By default the log goes to standard error."""
    open_logs("-").error.error("to the terminal")

    assert "to the terminal" in capfd.readouterr().err


def test_a_dash_is_also_what_stands_for_standard_error(open_logs: Open, capsys: pytest.CaptureFixture[str]) -> None:
    """An application that has put something without a descriptor in its place gets the lines; the stacks of a crash
    have nowhere to go.
    """
    logs = open_logs("-", accesslog="-")
    logs.error.error("to the notebook")
    logs.take_faults()
    logs.reopen()

    assert "to the notebook" in capsys.readouterr().err


def test_lines_are_written_once(open_logs: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Logs made anew replace the old ones, and the application's root logger gets no copy."""
    open_logs("old.log")
    open_logs().error.error("once")

    assert (tmp_path / "error.log").read_text().count("once") == 1
    assert (tmp_path / "old.log").read_text() == ""
    assert not caplog.records


def test_replaced_logs_are_closed(open_logs: Open, tmp_path: Path) -> None:
    """An embedder that makes arbiters again and again does not run out of descriptors."""
    accesslog = str(tmp_path / "access.log")
    logs = open_logs(accesslog=accesslog)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        logs = open_logs(accesslog=accesslog)

    assert logs.access is not None

    assert len(os.listdir("/proc/self/fd")) == before


def test_an_access_log_is_open_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    """Another one made meanwhile takes nothing away from an arbiter that still serves."""
    first, second = (AccessLog(str(tmp_path / name), "%(s)s") for name in ("first.log", "second.log"))
    del second
    first.add(SimpleNamespace(status="200 OK", head=SimpleNamespace(fields=Fields(()), log_line=None)), 0.0)  # type: ignore[arg-type]
    first.flush()

    assert (tmp_path / "first.log").read_text() == "200\n"


def test_without_an_access_log_there_is_none(open_logs: Open) -> None:
    """The access log is off by default; flushing and reopening do not mind."""
    logs = open_logs()
    logs.flush()
    logs.reopen()

    assert logs.access is None


def test_both_files_are_reopened(open_logs: Open, tmp_path: Path) -> None:
    """After rotation both logs go on in new files."""
    logs = open_logs(accesslog=str(tmp_path / "access.log"))
    for name in ("error.log", "access.log"):
        (tmp_path / name).rename(tmp_path / f"{name}.1")

    logs.reopen()
    logs.error.error("new")

    assert "new" in (tmp_path / "error.log").read_text()
    assert (tmp_path / "access.log").exists()


def test_a_file_that_cannot_be_reopened_is_reported(open_logs: Open, tmp_path: Path) -> None:
    """The old file goes on, and the reason stands in it."""
    folder = tmp_path / "logs"
    folder.mkdir()
    logs = open_logs("logs/error.log")
    folder.rename(tmp_path / "moved")

    logs.reopen()

    assert "cannot open the log file" in (tmp_path / "moved/error.log").read_text()


def test_a_full_disk_is_reported_when_it_is_over(open_logs: Open, tmp_path: Path) -> None:
    """Lines that cannot be written stop nobody, also not while reopening; the next that can be tells how many."""
    link = tmp_path / "error.log"
    link.symlink_to("/dev/full")
    logs = open_logs()
    logs.error.error("lost")
    logs.error.error("lost too")
    link.unlink()

    logs.reopen()
    logs.error.error("found")

    text = link.read_text()
    assert text.endswith("] found\n(2 earlier lines could not be written)\n")
    logs.error.error("again")
    assert link.read_text().endswith("] again\n")


def test_a_wrong_log_call_does_not_stop_its_caller(open_logs: Open, capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin's log call whose arguments do not fit is shown on standard error, as logging does, and goes on."""
    open_logs().error.error("%d requests", "many")

    assert "many" in capsys.readouterr().err


class Slow:
    """What a line tells of, and what happens while it is made text."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile

    def __str__(self) -> str:
        self.meanwhile()
        return "slow"


def messages(path: Path) -> list[str]:
    return [line.rpartition("] ")[2] for line in path.read_text().splitlines()]


def test_a_signal_handler_may_log(open_logs: Open, tmp_path: Path) -> None:
    """A line that a handler logs while another is being made is neither lost nor an error."""
    logs = open_logs()
    before = signal.signal(signal.SIGUSR1, lambda *_: logs.error.error("from the handler"))
    try:
        logs.error.error("%s", Slow(lambda: signal.raise_signal(signal.SIGUSR1)))
        logs.error.error("second")
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert messages(tmp_path / "error.log") == ["from the handler", "slow", "second"]


def test_no_thread_waits_for_anothers_line(open_logs: Open, tmp_path: Path) -> None:
    """A worker that is told to say its last words says them while its watchdog is in the midst of a line."""
    logs = open_logs()
    begun, end = threading.Event(), threading.Event()

    def stand_still() -> None:
        begun.set()
        end.wait(DEADLINE)

    watchdog = threading.Thread(target=logs.error.error, args=("%s", Slow(stand_still)))
    watchdog.start()
    begun.wait(DEADLINE)
    lastly = threading.Thread(target=logs.error.error, args=("last words",))
    lastly.start()
    lastly.join(DEADLINE)
    said = messages(tmp_path / "error.log")
    end.set()
    watchdog.join(DEADLINE)

    assert said == ["last words"]
    assert messages(tmp_path / "error.log") == ["last words", "slow"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_may_log_whatever_its_parents_threads_were_doing(open_logs: Open, tmp_path: Path) -> None:
    """Of two hundred forks beside a thread that logs without a pause, none leaves its child waiting for a lock."""
    logs = open_logs(accesslog=str(tmp_path / "access.log"))
    done = threading.Event()

    def chat() -> None:
        while not done.is_set():
            logs.error.warning("busy")

    def child() -> int:
        logs.error.error("forked")
        logs.flush()
        return 0

    thread = threading.Thread(target=chat)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    thread.start()
    try:
        for _ in range(200):
            pid = fork(child)
            try:
                wait_for_exit([pid])
            except AssertionError:
                os.kill(pid, signal.SIGKILL)
                raise
            finally:
                _, status = os.waitpid(pid, 0)
            assert status == 0
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)

    assert messages(tmp_path / "error.log").count("forked") == 200


def test_a_filter_decides_about_a_line(open_logs: Open, tmp_path: Path) -> None:
    """What logging offers for handlers goes on to hold."""
    [handler] = open_logs().error.handlers
    handler.addFilter(lambda record: record.levelno > logging.WARNING)
    logging.getLogger("workerkit.error").warning("dropped")
    logging.getLogger("workerkit.error").error("kept")

    assert messages(tmp_path / "error.log") == ["kept"]


def test_a_file_that_cannot_be_opened_is_an_error(open_logs: Open) -> None:
    """A server whose log cannot be opened does not start, and says why."""
    with pytest.raises(ConfigError, match="cannot open the log file"):
        open_logs("none/error.log")


def test_undecodable_text_is_written_somehow(open_logs: Open, tmp_path: Path) -> None:
    """A lone surrogate in a path does not lose the line."""
    open_logs().error.error("path %s", "a\udce9b")

    assert r"path a\udce9b" in (tmp_path / "error.log").read_text()


def test_plugins_log_below(open_logs: Open, tmp_path: Path) -> None:
    """A logger below ours writes to the same file."""
    open_logs()
    logging.getLogger("workerkit.error.plugin").error("from a plugin")

    assert "from a plugin" in (tmp_path / "error.log").read_text()

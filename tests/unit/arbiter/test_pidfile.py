"""The pid file, with real files and processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workerkit.arbiter.pidfile import PidFile
from workerkit.errors import ConfigError
from workerkit.process.fork import fork


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.pid"


def dead_pid() -> int:
    pid = fork(lambda: 0)
    os.waitpid(pid, 0)
    return pid


def test_it_holds_our_pid_while_we_run(path: Path) -> None:
    """The file is one line with the process id, and goes with us."""
    pidfile = PidFile(str(path))
    pidfile.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert os.listdir(path.parent) == ["app.pid"]

    pidfile.remove()
    assert not path.exists()


@pytest.mark.parametrize("left_behind", ["", "nonsense", "0", "-1", "99999999999999999999"])
def test_a_file_that_names_nobody_is_replaced(path: Path, left_behind: str) -> None:
    """What is not the id of a process does not keep a server from starting."""
    path.write_text(left_behind)
    PidFile(str(path)).write()

    assert path.read_text() == f"{os.getpid()}\n"


def test_a_file_of_a_process_that_is_gone_is_replaced(path: Path) -> None:
    """A server that was killed leaves its file, and the next one takes it over."""
    path.write_text(f"{dead_pid()}\n")
    PidFile(str(path)).write()

    assert path.read_text() == f"{os.getpid()}\n"


@contextlib.contextmanager
def held_by_another(path: Path) -> Iterator[int]:
    """Have another process hold the file; yield its id."""
    told, tell = os.pipe()
    leave, end = os.pipe()

    def child() -> int:
        os.close(end)
        PidFile(str(path)).write()
        os.write(tell, b".")
        return len(os.read(leave, 1))

    pid = fork(child)
    os.close(tell)
    assert os.read(told, 1) == b"."
    try:
        yield pid
    finally:
        os.close(end)
        os.waitpid(pid, 0)
        os.close(told)
        os.close(leave)


def test_a_living_holder_is_respected(path: Path) -> None:
    """Two servers do not share a file: the second is told who has it."""
    with held_by_another(path) as holder:
        with pytest.raises(ConfigError, match=f"belongs to the running process {holder}; stop it"):
            PidFile(str(path)).write()

        assert path.read_text() == f"{holder}\n"


def test_a_holder_that_was_killed_holds_nothing(path: Path) -> None:
    """Even while its id means another process, or a child of the holder lives on, the next server has the file."""
    with held_by_another(path):
        pass
    path.write_text(f"{os.getppid()}\n")
    pidfile = PidFile(str(path))
    pidfile.write()

    assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("foreign", ["1", str(os.getppid())])
def test_the_id_of_a_process_that_does_not_hold_it_means_nothing(path: Path, foreign: str) -> None:
    """Ids are used again, in containers soon: a living process that has not locked the file is a stranger."""
    path.write_text(f"{foreign}\n")
    PidFile(str(path)).write()

    assert path.read_text() == f"{os.getpid()}\n"


def test_a_successor_takes_the_file_over(path: Path) -> None:
    """In an upgrade the file becomes the new arbiter's while the old one lives; the old one leaves it alone."""
    with held_by_another(path) as holder:
        pidfile = PidFile(str(path))
        pidfile.write(predecessor=holder)
    assert path.read_text() == f"{os.getpid()}\n"

    pidfile.remove()
    assert not path.exists()


def test_a_child_holds_nothing(path: Path) -> None:
    """A process that a worker has forked, and that outlives the arbiter, keeps nobody from starting."""
    leave, end = os.pipe()

    def arbiter() -> int:
        os.close(end)
        PidFile(str(path)).write()
        fork(lambda: len(os.read(leave, 1)))
        return 0

    os.waitpid(fork(arbiter), 0)
    PidFile(str(path)).write()
    os.close(end)
    os.close(leave)

    assert path.read_text() == f"{os.getpid()}\n"


def test_our_own_file_may_be_written_again(path: Path) -> None:
    """A process that starts a second time in one life finds its own id and goes on."""
    PidFile(str(path)).write()
    PidFile(str(path)).write()

    assert path.read_text() == f"{os.getpid()}\n"


def test_a_file_that_is_no_longer_ours_stays(path: Path) -> None:
    """A successor's file is not removed by us; one that is gone is no error."""
    pidfile = PidFile(str(path))
    pidfile.write()
    path.write_text("1\n")
    pidfile.remove()
    assert path.read_text() == "1\n"

    path.unlink()
    pidfile.remove()


def test_the_working_folder_may_change(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the folder that we were started in, when it is removed too."""
    monkeypatch.chdir(tmp_path)
    pidfile = PidFile("app.pid")
    pidfile.write()
    monkeypatch.chdir("/")
    pidfile.remove()

    assert not path.exists()


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The message names the path and the reason, and nothing is left behind."""
    with pytest.raises(ConfigError, match=r"cannot write the pid file .*: No such file"):
        PidFile(str(tmp_path / "none" / "app.pid")).write()

    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        PidFile(str(tmp_path / "folder")).write()
    assert os.listdir(tmp_path) == ["folder"]

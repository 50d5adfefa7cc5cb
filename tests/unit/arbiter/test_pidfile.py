"""The pid file, with real files and processes."""

from __future__ import annotations

import os
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


def test_a_living_holder_is_respected(path: Path) -> None:
    """Two servers do not share a file: the second is told who has it."""
    path.write_text(f"{os.getppid()}\n")

    with pytest.raises(ConfigError, match=f"belongs to the running process {os.getppid()}"):
        PidFile(str(path)).write()
    assert path.read_text() == f"{os.getppid()}\n"


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

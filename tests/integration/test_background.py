"""As a daemon, as another user, by another name: how the command and its processes sit in the system."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import Launcher, run_to_completion, wait_for_exit

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = pwd.getpwnam("nobody")
WHO = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    mask = os.umask(0)
    os.umask(mask)
    who = (os.getuid(), os.getgid(), os.getgroups(), mask, imported_by, os.environ.get("MODE"))
    return [repr(who).encode()]

imported_by = os.getuid()
"""


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that others may read: pytest's are for their owner alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "who.py").write_text(WHO)
    yield folder
    shutil.rmtree(folder)


# Another user


@ROOT
@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_workers_run_as_another_user(serve: Launcher, everybodys: Path, preload: tuple[str, ...]) -> None:
    """User, group, groups and umask; the application is imported as that user, also by a mold. The arbiter stays."""
    server = serve(
        *("who:app", "--user", "nobody", "--umask", "027", "--env", "MODE=a=b,c", *preload), path=(everybodys,)
    )
    user, group = NOBODY.pw_uid, NOBODY.pw_gid

    assert server.get("/").text == repr((user, group, [group], 0o27, user, "a=b,c"))
    assert os.stat(f"/proc/{server.pid}").st_uid == 0


@ROOT
def test_sockets_and_logs_belong_to_the_workers(serve: Launcher, everybodys: Path) -> None:
    """So that a proxy of that group can connect, and workers can reopen their logs."""
    everybodys.chmod(0o777)
    path, log = everybodys / "socket", everybodys / "access"
    flags = ("-u", "nobody", "--access-logfile", str(log))
    server = serve("who:app", *flags, bind=f"unix:{path}", path=(everybodys,))
    before = log.stat()
    log.rename(everybodys / "access.1")
    server.signal(signal.SIGUSR1)
    server.wait_for_log("Logs reopened")
    with server.client() as client:
        assert client.get("/").status_code == 200
    server.stop()

    assert [before.st_uid, log.stat().st_uid, log.stat().st_gid] == [NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_gid]
    assert not path.exists()


@ROOT
def test_a_unix_socket_for_the_group_alone(serve: Launcher, everybodys: Path) -> None:
    """The umask counts for it too."""
    path = everybodys / "socket"
    serve("who:app", "-u", "nobody", "-m", "007", bind=f"unix:{path}", path=(everybodys,))
    status = path.stat()

    assert (oct(status.st_mode & 0o777), status.st_uid, status.st_gid) == ("0o660", NOBODY.pw_uid, NOBODY.pw_gid)


@ROOT
def test_unprivileged_workers_die_with_their_arbiter(serve: Launcher, everybodys: Path) -> None:
    """The kernel asks whether who wanted the signal may send it; a change of user does not matter to that."""
    server = serve("who:app", "-u", "nobody", path=(everybodys,))
    (worker,) = server.workers()
    server.signal(signal.SIGKILL)
    wait_for_exit([worker])
    server.wait_for_end(-signal.SIGKILL)


def test_a_user_that_there_is_not(tmp_path: Path) -> None:
    """One clear line before anything starts."""
    finished = run_to_completion("hello", "--user", "no-such-one", folder=tmp_path)

    assert finished.code == 2
    assert finished.err == [
        "workerkit: error: user: there is no user 'no-such-one' on this machine (from flag --user)"
    ]


@ROOT
def test_another_user_takes_a_worker(tmp_path: Path) -> None:
    """Without worker processes there is nobody who could become somebody else."""
    finished = run_to_completion("hello", "--user", "nobody", "-w", "0", "--bind", "unix:socket", folder=tmp_path)

    assert finished.code == 1
    assert finished.err == [
        "workerkit: error: user, group and umask are for worker processes, and workers is 0: there are none"
    ]


# In the background


DAEMON = ("--daemon", "--pid", "web.pid", "--log-file", "log", "--bind", "unix:socket", "--workers", "2")


def test_a_daemon(tmp_path: Path) -> None:
    """The command returns with 0 when the server answers; the daemon has a pid file and stops like any server."""
    finished = run_to_completion("hello", *DAEMON, folder=tmp_path)
    pid = int((tmp_path / "web.pid").read_text())
    try:
        assert (finished.code, finished.out, finished.err, ask(tmp_path)) == (0, [], [], 200)
        assert os.getsid(pid) not in (pid, os.getsid(0))
        assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_exit([pid])
    assert not (tmp_path / "web.pid").exists()
    assert "Stopped" in (tmp_path / "log").read_text()


def test_a_daemon_is_upgraded(tmp_path: Path) -> None:
    """After USR2 the pid file names the new arbiter, which is in the background too, and the old one is gone."""
    run_to_completion("hello", *DAEMON, folder=tmp_path)
    file = tmp_path / "web.pid"
    pid = old = int(file.read_text())
    session = os.getsid(old)
    try:
        os.kill(old, signal.SIGUSR2)
        wait_for_exit([old])
        pid = int(file.read_text())
        assert (pid != old, os.getsid(pid), ask(tmp_path)) == (True, session, 200)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_exit([pid])
    assert not file.exists()


def ask(folder: Path) -> int:
    """Return the status that the daemon's socket answers with."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(folder / "socket"), verify=False)) as client:
        return client.get("http://localhost/").status_code


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fails_on_import"], 3, "fails_on_import cannot be imported"),
        (["hello:nothing"], 4, "hello has no attribute 'nothing'"),
        (["hello", "--bind", "192.0.2.1:1"], 1, "cannot listen on 192.0.2.1:1"),
        (["hello", "--pid", "no/such/folder"], 1, "cannot write the pid file"),
    ],
)
def test_a_daemon_that_cannot_start(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    """The terminal gets the same exit code and the same message as without --daemon."""
    common = ["--log-file", "log", "--bind", "unix:socket"] if "--bind" not in arguments else ["--log-file", "log"]
    finished = run_to_completion("-D", *common, *arguments, folder=tmp_path)
    plain = run_to_completion(*common, *arguments, folder=tmp_path)

    assert (finished.code, finished.err) == (plain.code, plain.err)
    assert finished.code == code
    assert any(message in line for line in finished.err)


def test_a_daemon_whose_log_goes_nowhere(tmp_path: Path) -> None:
    """Said once, at the terminal."""
    finished = run_to_completion("-D", "fails_on_import", "--bind", "unix:socket", folder=tmp_path)

    assert [line for line in finished.err if "warning" in line] == [
        "workerkit: warning: a daemon has no standard error: its log is lost unless --error-logfile names a file"
    ]


def test_no_daemon_under_systemd(tmp_path: Path) -> None:
    """systemd would take the end of the command for the end of the service."""
    finished = run_to_completion("-D", "hello", folder=tmp_path, variables={"NOTIFY_SOCKET": "/run/notify"})

    assert finished.code == 1
    assert "leave daemon out" in finished.err[-1]


# Names


def test_what_ps_shows(serve: Launcher) -> None:
    """Each process says what it is, and whose."""
    pytest.importorskip("setproctitle")
    server = serve("hello", "--name", "shop", "--preload")
    command = ["ps", "-ww", "-o", "args=", "-g", str(server.pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    titles = [line.strip() for line in shown.stdout.splitlines()]

    assert sorted(titles) == ["workerkit: arbiter [shop]", "workerkit: mold [shop]", "workerkit: worker 0 [shop]"]

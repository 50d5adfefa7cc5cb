"""HUP with the real command: new code and new settings come to serve together, or nothing has changed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from harness import Gate, Launcher, Server, is_alive, wait_for_exit

from workerkit.testing.observed import look_until

RELEASES = Path(__file__).parent / "apps"

Start = Callable[..., Server]


@pytest.fixture
def start(serve: Launcher) -> Start:
    """Start a server of ``tells_release`` with a configuration file; ``files`` are put beside it."""

    def begin(
        config: str,
        *arguments: str,
        name: str = "workerkit.toml",
        ready: int = 1,
        files: Mapping[str, str] | None = None,
        served: Sequence[str] = ("tells_release",),
        **named: object,
    ) -> Server:
        files = {name: config, "release": "one", **(files or {})}
        served = () if "[pools" in config else served
        return serve(*served, *arguments, workers=None, bind=None, ready=ready, files=files, tracebacks=True, **named)

    return begin


def release(server: Server, address: str | None = None) -> str:
    """Return which release answers; a Unix socket's address may be relative to the server's folder."""
    kind, _, path = (address or server.url).partition(":")
    with server.connect(f"unix:{server.folder / path}" if kind == "unix" else address) as connection:
        told: list[str] = json.loads(connection.get("/").body)
    return told[0]


def reload(server: Server) -> int:
    """Send HUP; return the place in the log after which its consequences stand."""
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    return mark


def finish_reload(server: Server, workers: list[int], mark: int) -> None:
    """Wait until the new workers serve and the old ones have left."""
    server.wait_for_log("Reloaded", since=mark)
    wait_for_exit(workers)


def write(server: Server, name: str, text: str) -> None:
    """Put a file beside the server, as a whole."""
    (server.folder / f"{name}.new").write_text(text)
    os.replace(server.folder / f"{name}.new", server.folder / name)


UNIX = 'bind = "unix:web.sock"\n'


# -- what cannot be used changes nothing --


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("workerkit.toml", "workers = ", "is not valid TOML"),
        ("workerkit.toml", UNIX + "wrokers = 2", "did you mean 'workers'"),
        ("workerkit.toml", UNIX + "workers = 0", "needs a restart"),
        ("workerkit.toml", UNIX + 'worker_class = "snyc"', "sync"),
        ("workerkit.toml", 'bind = "192.0.2.1:80"', "this machine has no such address"),
        ("workerkit.conf.py", "raise RuntimeError('half edited')", "half edited"),
    ],
)
def test_a_configuration_that_cannot_be_used_changes_nothing(start: Start, name: str, text: str, told: str) -> None:
    """One line says what is wrong with it; the same workers serve, at the same address, and the next one is taken."""
    good = UNIX if name.endswith(".toml") else 'bind = "unix:web.sock"\n'
    server = start(good, name=name)
    before = server.workers()
    write(server, name, text)
    mark = reload(server)

    [line] = server.wait_for_log(r"\[ERROR\] (.*)", since=mark)
    assert line[1].startswith("Reload refused, everything stays as it is")
    assert told in line[1]
    assert server.workers() == before
    assert release(server) == "one"
    write(server, name, good)
    finish_reload(server, before, reload(server))


@pytest.mark.parametrize("preload", [False, True])
def test_code_that_does_not_load_is_given_up(start: Start, preload: bool) -> None:
    """Its traceback stands in the log once, the old workers stay, and dead ones are replaced while code is mended."""
    server = start(UNIX + "workers = 3\nreload_batch = 3", *(["--preload"] if preload else []), ready=3)
    before = server.workers()
    write(server, "release", "broken")
    mark = reload(server)

    server.wait_for_log("Reload given up", since=mark)
    assert len(server.log.find(r"raise RuntimeError\(", since=mark)) == 1
    assert server.workers() == before
    assert release(server) == "one"
    write(server, "release", "two")
    finish_reload(server, before, reload(server))
    assert release(server) == "two"


def test_the_settings_before_come_back_with_their_release(start: Start) -> None:
    """What had begun with new settings goes: the new address is closed and the number of workers is the old one."""
    server = start(UNIX + "workers = 2", ready=2)
    before = server.workers()
    write(server, "workerkit.toml", 'bind = ["unix:web.sock", "unix:other.sock"]\nworkers = 4')
    write(server, "release", "broken")
    mark = reload(server)
    server.wait_for_log("Reload given up", since=mark)

    server.signal(signal.SIGTTIN)
    server.wait_for_log("SIGTTIN: 3 workers instead of 2", since=mark)
    assert not (server.folder / "other.sock").exists()
    assert server.workers()[:2] == before


def test_a_preloaded_release_comes_back_from_memory(start: Start) -> None:
    """After a reload was given up, workers are made of the code that was loaded, whatever the files hold now."""
    server = start(UNIX, "--preload")
    [worker] = server.workers()
    write(server, "release", "broken")
    mark = reload(server)
    server.wait_for_log("Reload given up", since=mark)
    os.kill(worker, signal.SIGKILL)

    server.wait_for_workers(1, since=mark)
    assert release(server) == "one"


# -- what can be used takes effect --


def test_the_number_of_workers_is_read_again(start: Start) -> None:
    """A Python file is executed anew, with a module of the operator's that it imports."""
    config = "from sizes import workers\nbind = 'unix:web.sock'"
    server = start(config, name="workerkit.conf.py", files={"sizes.py": "workers = 1"})
    before = server.workers()
    write(server, "sizes.py", "workers = 1 + 1  # more")
    mark = reload(server)

    finish_reload(server, before, mark)
    assert len(server.wait_for_workers(2, since=mark)) == 2


def test_an_address_is_added_and_one_is_given_up(start: Start) -> None:
    """The one that stays is never closed; the new one is open before, and the old one until its workers have left."""
    server = start('bind = ["unix:web.sock", "unix:old.sock"]')
    before = server.workers()
    inode = (server.folder / "web.sock").stat().st_ino
    write(server, "workerkit.toml", 'bind = ["unix:new.sock", "unix:web.sock"]')
    mark = reload(server)

    finish_reload(server, before, mark)
    server.wait_for_log(r"\(pid: \d+\) left", since=mark)
    assert release(server, "unix:new.sock") == "one"
    assert release(server, "unix:web.sock") == "one"
    assert (server.folder / "web.sock").stat().st_ino == inode
    assert look_until(lambda: not (server.folder / "old.sock").exists())  # right after the last of its workers


def test_another_worker_class_takes_over(start: Start) -> None:
    """Class, settings of its own, timeouts and preload may all be other ones."""
    server = start(UNIX + 'worker_class = "sync"')
    before = server.workers()
    write(server, "workerkit.toml", UNIX + 'worker_class = "threaded"\nthreads = 3\ntimeout = 5\npreload_app = true')
    write(server, "release", "two")
    finish_reload(server, before, reload(server))

    assert release(server) == "two"


def test_pools_come_and_go(start: Start) -> None:
    """A pool that is new in the file is started, and one that is gone leaves once the others serve."""
    pools = '[pools.{0}]\nserve = "tells_release"\nbind = "unix:{0}.sock"\n'
    server = start(pools.format("web") + pools.format("old"), ready=2)
    before = server.workers()
    write(server, "workerkit.toml", pools.format("web") + pools.format("new"))
    mark = reload(server)

    finish_reload(server, before, mark)
    server.wait_for_log(r"of old \(pid: \d+\) left", since=mark)
    assert release(server, "unix:new.sock") == release(server, "unix:web.sock") == "one"


def test_one_pool_that_fails_gives_up_all(start: Start) -> None:
    """Pools come to serve together or not at all; one that was to be new is forgotten."""
    pools = '[pools.{0}]\nserve = "{1}"\nbind = "unix:{0}.sock"\n'
    server = start(pools.format("web", "tells_release"))
    before = server.workers()
    write(server, "workerkit.toml", pools.format("web", "tells_release") + pools.format("new", "fails_on_import"))
    mark = reload(server)
    server.wait_for_log("Reload given up in the pool new", since=mark)

    assert release(server, "unix:web.sock") == "one"
    assert before[0] in server.workers() or server.wait_for_workers(1, since=mark)
    write(server, "workerkit.toml", pools.format("web", "tells_release"))
    server.wait_for_log("Reloaded", since=reload(server))
    assert not (server.folder / "new.sock").exists()


def test_what_takes_a_restart_is_named(start: Start) -> None:
    """Settings of the process itself stay as they are, and one line names those that differ."""
    server = start(UNIX + 'loglevel = "info"')
    before = server.workers()
    write(server, "workerkit.toml", UNIX + 'loglevel = "debug"\npidfile = "web.pid"')
    mark = reload(server)

    [line] = server.wait_for_log("takes a restart: (.*)", since=mark)
    assert line[1] == "loglevel, pidfile"
    finish_reload(server, before, mark)


def test_the_folder_of_the_newest_release_is_entered(start: Start, tmp_path: Path) -> None:
    """With --chdir to a link that each deployment points elsewhere, a reload serves what it points to now."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "release").write_text(name)
    link = tmp_path / "current"
    link.symlink_to("one")
    server = start('bind = "127.0.0.1:0"', "--chdir", str(link))
    before = server.workers()
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", link)
    finish_reload(server, before, reload(server))

    assert release(server) == "two"


# -- while a reload is under way --


def test_a_second_reload_supersedes_the_first(start: Start, gate: Gate) -> None:
    """What the first had begun to boot leaves, and the newest code comes to serve."""
    server = start(UNIX, variables={"GATE": str(gate.path)})
    before = server.workers()
    write(server, "release", "waits")
    mark = reload(server)
    server.wait_for_log("waits at the gate", since=mark)
    write(server, "release", "three")
    mark = reload(server)

    finish_reload(server, before, mark)
    assert release(server) == "three"
    gate.open()


def test_a_stop_ends_a_reload(start: Start, gate: Gate) -> None:
    """TERM while a new worker boots ends the server as ever, and nothing is left behind."""
    server = start(UNIX, variables={"GATE": str(gate.path)})
    write(server, "release", "waits")
    server.wait_for_log("waits at the gate", since=reload(server))

    server.stop()


def test_a_worker_that_is_killed_meanwhile_gives_nothing_up(start: Start, gate: Gate) -> None:
    """An old worker that dies while the new one boots is none of the new release's faults."""
    server = start(UNIX + "workers = 2", ready=2, variables={"GATE": str(gate.path)})
    before = server.workers()
    write(server, "release", "waits")
    mark = reload(server)
    server.wait_for_log("waits at the gate", since=mark)
    write(server, "release", "two")
    os.kill(before[0], signal.SIGKILL)
    server.wait_for_log("was ended by signal 9", since=mark)
    gate.open()

    finish_reload(server, before, mark)
    assert not server.log.find("given up", since=mark)


# -- forks that fail --


@pytest.mark.program("strace")
def test_the_arbiter_outlives_a_system_without_processes(start: Start) -> None:
    """While fork fails with EAGAIN the others serve; as soon as it works again, full strength is back."""
    server = start(UNIX + "workers = 2", ready=2)
    first, second = server.workers()
    inject = "inject=clone,clone3,fork,vfork:error=EAGAIN"
    strace = shutil.which("strace") or "strace"
    command = [strace, "-qq", "-e", "trace=clone,clone3,fork,vfork", "-e", inject, "-p", str(server.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        mark = server.log.mark()
        wait_until_traced(server.pid, tracer)
        os.kill(first, signal.SIGKILL)
        server.wait_for_log("Cannot fork", since=mark)
        assert release(server) == "one"
        assert is_alive(second)
    finally:
        tracer.terminate()
        tracer.communicate()
    server.wait_for_log("Forking works again", since=mark)
    server.wait_for_workers(1, since=mark)


def wait_until_traced(pid: int, tracer: subprocess.Popen[str]) -> None:
    """Wait until a process is traced, or skip: not everybody may trace."""
    while f"TracerPid:\t{tracer.pid}" not in Path(f"/proc/{pid}/status").read_text():
        if tracer.poll() is not None:
            assert tracer.stderr is not None
            pytest.skip(f"strace cannot attach: {tracer.stderr.read()}")


# -- as many workers as the load asks for --


def test_load_makes_more_workers(start: Start, gate: Gate) -> None:
    """With a range of workers, busy ones are joined by others, up to its end; TTOU moves the range."""
    config = 'bind = "unix:web.sock"\nserve = "holds_at_gate"\nworkers = "1..2"'
    server = start(config, served=(), path=(RELEASES,), variables={"GATE": str(gate.path)})
    with server.connect(f"unix:{server.folder}/web.sock") as held:
        held.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for_log("Load 100 %: 2 workers instead of 1")
        server.wait_for_workers(2)
        gate.open()
        held.read_response("GET")
    server.signal(signal.SIGTTOU)
    server.wait_for_log("SIGTTOU: 1 workers instead of 2")

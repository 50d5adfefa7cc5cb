"""gunicorn's hooks, from a real gunicorn.conf.py, over the life of a server."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from harness import Gate, Launcher, run_to_completion

NOTES = '''
import os

def note(*what):
    with open("notes", "a") as file:
        file.write(" ".join(map(str, what)) + "\\n")
'''

LIFE = NOTES + '''
def nworkers_changed(server, new_value, old_value): note("nworkers_changed", new_value, old_value)
def on_starting(server): note("on_starting", server.address)
def when_ready(server): note("when_ready", len(server.address), server.cfg.workers)
def pre_fork(server, worker): worker.nickname = f"w{worker.age}"; note("pre_fork", worker.nickname)
def post_fork(server, worker): note("post_fork", worker.nickname, worker.pid == os.getpid(), server.pid == worker.ppid)
def first_worker_init(worker): note("first_worker_init", worker.nickname)
def post_worker_init(worker): note("post_worker_init", worker.nickname)
def pre_request(worker, req): note("pre_request", worker.nickname, req.path)
def post_request(worker, req, environ, resp): note("post_request", environ["PATH_INFO"], resp.status)
def worker_int(worker): note("worker_int", worker.nickname)
def worker_exit(server, worker): note("worker_exit", worker.nickname, worker.nr)
def child_exit(server, worker): note("child_exit", worker.nickname, worker.nr, worker.pid in server.WORKERS)
def on_reload(server): note("on_reload", len(server.WORKERS))
def on_exit(server): note("on_exit", len(server.WORKERS))
'''


def notes_of(folder: Path) -> list[str]:
    return (folder / "notes").read_text().splitlines()


def test_the_life_of_a_server(serve: Launcher) -> None:
    """Start, request, HUP, TTIN and TERM: each hook in its moment, as gunicorn calls them."""
    server = serve("hello", workers=2, files={"gunicorn.conf.py": LIFE})
    assert server.get("/").status_code == 200
    server.signal(signal.SIGHUP)
    server.wait_for_log("Worker ready", count=4)
    server.wait_for_log(r"Worker \d \(pid: \d+\) left", count=2)
    server.signal(signal.SIGTTIN)
    server.wait_for_log("Worker ready", count=5)
    server.stop()
    notes = notes_of(server.folder)
    # The client has its answer before post_request is called: that may come later than what we do next.
    requests = [note for note in notes if "_request" in note]
    notes = [note for note in notes if "_request" not in note]

    assert notes[:7] == [
        "nworkers_changed 2 None",
        "on_starting []",
        "when_ready 1 2",
        "pre_fork w1",
        "post_fork w1 True True",
        "first_worker_init w1",
        "post_worker_init w1",
    ]
    assert notes[7:10] == ["pre_fork w2", "post_fork w2 True True", "post_worker_init w2"]
    assert [requests[0].split()[0], requests[1]] == ["pre_request", "post_request / 200 OK"]
    assert notes[10:14] == ["on_reload 2", "pre_fork w3", "post_fork w3 True True", "first_worker_init w3"]
    later = notes[14:]
    assert [note for note in later if note.startswith("nworkers_changed")] == ["nworkers_changed 3 2"]
    assert sorted(note.split()[1] for note in later if note.startswith("worker_exit")) == ["w1", "w2", "w3", "w4", "w5"]
    assert sum(int(note.split()[2]) for note in later if note.startswith("child_exit")) == 1
    assert [note for note in later if note.startswith("child_exit w3")] == ["child_exit w3 0 False"]
    assert [note for note in later if note.startswith(("worker_int", "first_worker_init"))] == []
    assert later[-1] == "on_exit 0"
    assert "no effect" not in server.log.text


def test_with_preload_the_same_hooks_run_in_the_workers(serve: Launcher) -> None:
    """A mold is no worker: nobody tells hooks of it. What is done once is done once."""
    config = NOTES + '''
def post_fork(server, worker): note("post_fork", worker.number)
def first_worker_init(worker): note("first_worker_init", worker.number)
def post_worker_init(worker): note("post_worker_init", worker.number)
def child_exit(server, worker): note("child_exit", worker.number)
'''
    server = serve("hello", "--preload", workers=2, files={"gunicorn.conf.py": config})
    server.stop()

    assert notes_of(server.folder)[:3] == ["post_fork 0", "first_worker_init 0", "post_worker_init 0"]
    assert notes_of(server.folder)[3:5] == ["post_fork 1", "post_worker_init 1"]
    assert sorted(notes_of(server.folder)[5:]) == ["child_exit 0", "child_exit 1"]


def test_without_worker_processes(serve: Launcher) -> None:
    """The inline arbiter calls the hooks of both sides, in the same order."""
    server = serve("hello", workers=0, files={"gunicorn.conf.py": LIFE})
    assert server.get("/").status_code == 200
    server.stop()
    names = [note.split()[0] for note in notes_of(server.folder)]

    assert names[:6] == ["nworkers_changed", "on_starting", "when_ready", "pre_fork", "post_fork", "first_worker_init"]
    assert names[6:9] == ["post_worker_init", "pre_request", "post_request"]
    assert names[9:] == ["worker_exit", "child_exit", "on_exit"]


def test_a_quick_stop_interrupts_the_workers(serve: Launcher) -> None:
    """INT to the server is worker_int in each worker, once."""
    config = NOTES + 'def worker_int(worker): note("worker_int", worker.number)\n'
    server = serve("hello", workers=2, files={"gunicorn.conf.py": config})
    server.stop(signal.SIGINT)

    assert sorted(notes_of(server.folder)) == ["worker_int 0", "worker_int 1"]


def test_an_aborted_worker_says_so_and_is_replaced(serve: Launcher) -> None:
    """ABRT to a worker is worker_abort and worker_exit, and exit code 1."""
    config = NOTES + '''
def worker_abort(worker): note("worker_abort")
def worker_exit(server, worker): note("worker_exit")
'''
    server = serve("tells_pid:app", files={"gunicorn.conf.py": config})
    (pid,) = server.workers()
    os.kill(pid, signal.SIGABRT)
    server.wait_for_log("exited with code 1")
    server.wait_for_workers(2)

    assert notes_of(server.folder) == ["worker_abort", "worker_exit"]


def test_a_worker_that_hangs_is_aborted(serve: Launcher, gate: Gate) -> None:
    """Its last words say what it was busy with, and then it goes like any worker that is killed."""
    config = NOTES + '''
import traceback

def worker_abort(worker): note(*traceback.format_stack())
'''
    server = serve(
        "holds_at_gate:app", "--timeout", "1", files={"gunicorn.conf.py": config}, variables={"GATE": str(gate.path)}
    )
    with server.connect() as connection:
        connection.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for_log("its heart has not beaten")
        server.wait_for_workers(2)

    assert "holds_at_gate.py" in "\n".join(notes_of(server.folder))


@pytest.mark.parametrize("name", ["on_starting", "when_ready", "pre_fork"])
def test_a_hook_that_fails_at_the_start(tmp_path: Path, name: str) -> None:
    """One message that names the hook, after the operator's own frame, and the exit code of a wrong setting."""
    (tmp_path / "gunicorn.conf.py").write_text(f"def {name}(server, worker=None):\n    raise LookupError('no table')\n")
    finished = run_to_completion("hello", "--bind", "127.0.0.1:0", folder=tmp_path)

    assert finished.code == 1
    assert finished.err[-1] == f"workerkit: error: the hook {name} failed: LookupError: no table"
    assert 'gunicorn.conf.py", line 2' in finished.err[-3]


def test_a_hook_that_fails_in_a_booting_worker(tmp_path: Path) -> None:
    """It is a worker that cannot boot."""
    (tmp_path / "gunicorn.conf.py").write_text("def post_fork(server, worker):\n    raise LookupError('no table')\n")
    finished = run_to_completion("hello", "--bind", "127.0.0.1:0", folder=tmp_path)

    assert finished.code == 3
    assert finished.err[-1] == "workerkit: error: the hook post_fork failed: LookupError: no table"


def test_a_request_that_a_hook_refuses(serve: Launcher) -> None:
    """A pre_request that raises makes the answer 500; the next request is served."""
    config = "def pre_request(worker, req):\n    if req.path == '/no': raise LookupError('not today')\n"
    server = serve("hello", files={"gunicorn.conf.py": config}, tracebacks=True)

    assert [server.get(path).status_code for path in ("/no", "/yes")] == [500, 200]


@pytest.mark.parametrize("name", ["on_exit", "first_worker_init"])
def test_a_hook_is_given_in_python_only(tmp_path: Path, name: str) -> None:
    """In TOML and in a variable, the message says where it belongs; there is no flag."""
    (tmp_path / "workerkit.toml").write_text(f'{name} = "shop.hooks:it"\n')
    toml = run_to_completion("hello", folder=tmp_path)
    (tmp_path / "workerkit.toml").unlink()
    variable = run_to_completion("hello", folder=tmp_path, variables={f"WORKERKIT_{name.upper()}": "shop:it"})

    for finished, place in ((toml, "workerkit.toml"), (variable, f"variable WORKERKIT_{name.upper()}")):
        assert finished.code == 1
        assert "expected a function, which only a Python configuration file" in finished.err[-1]
        assert finished.err[-1].endswith(f"(from {place})")


def test_hooks_in_what_print_config_prints(tmp_path: Path) -> None:
    """A comment names the function and its file: TOML could not hold it."""
    (tmp_path / "gunicorn.conf.py").write_text("def on_exit(server): ...\n")
    finished = run_to_completion("--print-config", "hello", folder=tmp_path)

    assert "# on_exit is the function on_exit, gunicorn.conf.py" in finished.out
    assert "# on_reload is not set" in finished.out


def test_a_reload_reads_the_hooks_again(serve: Launcher) -> None:
    """New workers have the new file's hooks; a file whose hooks cannot be called changes nothing."""
    config = NOTES + "def post_fork(server, worker): note('old', worker.generation)\n"
    server = serve("hello", files={"gunicorn.conf.py": config})
    file = server.folder / "gunicorn.conf.py"
    file.write_text("def post_fork(worker): ...\n")
    server.signal(signal.SIGHUP)
    server.wait_for_log(r"Reload refused.*post_fork: it is called with \(server, worker\)")
    file.write_text(
        NOTES
        + "def on_reload(server): note('reload', server.num_workers)\n"
        + "def post_fork(server, worker): note('new', worker.cfg.workers)\n"
    )
    server.signal(signal.SIGHUP)
    server.wait_for_log("Reloaded")
    server.stop()

    assert notes_of(server.folder) == ["old 1", "reload 1", "new 1"]


@pytest.mark.parametrize("worker_class", ["sync", "threaded", "gevent", "eventlet"])
def test_hooks_around_requests_on_every_class(serve: Launcher, worker_class: str) -> None:
    """They know their worker, and what it answered; with and without a mold."""
    if worker_class in {"gevent", "eventlet"} and find_spec(worker_class) is None:  # importing it would change us
        pytest.skip(f"{worker_class} is not installed")
    config = NOTES + '''
def pre_request(worker, req): note("before", worker.number, req.method)
def post_request(worker, req, environ, resp): note("after", worker.number, resp.status_code)
'''
    for preload in ((), ("--preload",)):
        server = serve("hello", "-k", worker_class, *preload, files={"gunicorn.conf.py": config})
        assert server.get("/").status_code == 200
        server.stop()
        assert notes_of(server.folder) == ["before 0 GET", "after 0 200"]

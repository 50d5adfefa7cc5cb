"""The control socket of a real server, and ``workerkit ctl`` from a shell of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import DEADLINE, Finished, Gate, Launcher, Server, run_to_completion, wait_for_exit

from workerkit.testing.processes import open_descriptors

GOOD = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"old"]
"""
BROKEN = "raise RuntimeError('the database has no table shops')\n"


@pytest.fixture
def server(serve: Launcher) -> Server:
    """A server of two workers with a control socket, which is found by its name in the server's folder."""
    return serve("shop:app", "--control-socket", "ctl.sock", workers=2, files={"shop.py": GOOD}, tracebacks=True)


def ctl(server: Server, *words: str) -> Finished:
    """Run the command in the server's folder."""
    return run_to_completion("ctl", "--socket", "ctl.sock", *words, folder=server.folder)


def status(server: Server) -> dict[str, object]:
    done = ctl(server, "status", "--json")
    assert (done.code, done.err) == (0, [])
    return json.loads(done.out[0])


def connect(server: Server) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE)
    client.connect(str(server.folder / "ctl.sock"))
    return client


def test_there_is_no_socket_unless_asked_for(serve: Launcher) -> None:
    """A server that was not told to makes no socket anywhere in its folder."""
    server = serve("hello")

    assert [path for path in server.folder.iterdir() if path.is_socket()] == []


def test_only_the_owner_may_use_it(server: Server) -> None:
    """The socket's mode is 0600."""
    assert stat.S_IMODE((server.folder / "ctl.sock").stat().st_mode) == 0o600


def test_status(server: Server) -> None:
    """It names the arbiter, the pool and each worker, with what each has done."""
    for _ in range(5):
        assert server.get("/").text == "old"
    told = status(server)

    assert told["pid"] == server.pid
    assert told["version"]
    assert [pool["addresses"] for pool in told["pools"]] == [[server.url]]
    assert {worker["pid"] for worker in told["workers"]} == set(server.workers())
    assert {worker["state"] for worker in told["workers"]} == {"ready"}
    assert sum(worker["requests"] for worker in told["workers"]) == 5


def test_status_for_people(server: Server) -> None:
    """A line about the server, a table of pools and a table of workers."""
    done = ctl(server, "status")
    blocks = "\n".join(done.out).split("\n\n")

    assert done.code == 0
    assert re.match(rf"workerkit \S+, pid {server.pid}, up 0:\d\d:\d\d$", blocks[0])
    assert server.url in blocks[1]
    assert all(str(pid) in blocks[2] for pid in server.workers())


def test_reload_that_is_waited_for(server: Server) -> None:
    """When the command is back, every worker is a new one and serves the new code."""
    before = set(server.workers())
    (server.folder / "shop.py").write_text(GOOD.replace("old", "new"))
    done = ctl(server, "reload", "--wait")

    assert (done.code, done.err) == (0, [])
    assert before.isdisjoint(worker["pid"] for worker in status(server)["workers"] if worker["state"] == "ready")
    assert server.get("/").text == "new"


def test_reload_that_is_given_up(server: Server) -> None:
    """The command ends with 1 and the reason; the old workers serve as before."""
    before = set(server.workers())
    (server.folder / "shop.py").write_text(BROKEN)
    done = ctl(server, "reload", "--wait")

    assert done.code == 1
    assert "the database has no table shops" in done.err[0]
    assert server.get("/").text == "old"
    assert {worker["pid"] for worker in status(server)["workers"]} == before


def test_reload_without_waiting(server: Server) -> None:
    """The command is back at once; the log tells the rest."""
    mark = server.log.mark()
    assert ctl(server, "reload").code == 0
    server.wait_for_workers(2, since=mark)


def test_reload_whose_client_loses_patience(serve: Launcher, gate: Gate) -> None:
    """The command ends with 5, and the reload takes its course."""
    waits = f"import os\nif os.path.exists('wait'):\n    with open({str(gate.path)!r}) as gate: gate.read(1)\n"
    server = serve("shop:app", "--control-socket", "ctl.sock", files={"shop.py": waits + GOOD})
    (server.folder / "wait").touch()
    mark = server.log.mark()
    done = ctl(server, "reload", "--wait", "--timeout", "300ms")

    assert done.code == 5
    assert "has not answered within 0.3 s" in done.err[0]
    gate.open()
    server.wait_for_workers(1, since=mark)


def test_stop(server: Server) -> None:
    """It ends as by TERM; the log names who asked, and the socket is gone."""
    assert ctl(server, "stop").code == 0
    server.wait_for_end(0)

    assert server.log.find(rf"Control socket: stop, asked by pid \d+ of user {os.getuid()}")
    assert not (server.folder / "ctl.sock").exists()
    assert ctl(server, "status").code == 5


def test_stop_at_once(serve: Launcher, gate: Gate) -> None:
    """``--quick`` waits for no request."""
    server = serve("holds_at_gate:app", "--control-socket", "ctl.sock", variables={"GATE": str(gate.path)})
    with server.connect() as connection:
        connection.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for_log("held at the gate")
        assert ctl(server, "stop", "--quick").code == 0
        server.wait_for_end(0)


def test_reopen(serve: Launcher) -> None:
    """Log files that were moved away are opened anew."""
    server = serve("hello", "--control-socket", "ctl.sock", "--access-logfile", "access.log")
    (server.folder / "access.log").rename(server.folder / "access.log.1")
    assert ctl(server, "reopen").code == 0
    server.wait_for_log("Logs reopened")

    assert (server.folder / "access.log").exists()


def test_the_configuration_file_says_where(serve: Launcher) -> None:
    """Server and command read the same setting; in the server's folder, the command needs no flag."""
    server = serve("hello", files={"workerkit.toml": 'control_socket = "of-file.sock"\n'})
    done = run_to_completion("ctl", "status", folder=server.folder)

    assert done.code == 0
    assert str(server.pid) in done.out[0]


def test_a_second_server_is_refused(server: Server) -> None:
    """It does not start, and the first one keeps its socket."""
    done = run_to_completion(
        "--bind", "127.0.0.1:0", "--control-socket", "ctl.sock", "shop:app", folder=server.folder
    )

    assert done.code == 1
    assert "ctl.sock is in use: a server answers there" in done.err[-1]
    assert status(server)["pid"] == server.pid


def test_a_killed_server_is_in_nobodys_way(serve: Launcher, tmp_path: Path) -> None:
    """The socket that it left is replaced; until then the command says that nobody is there."""
    path = str(tmp_path / "ctl.sock")
    first = serve("hello", "--control-socket", path)
    workers = first.workers()
    first.signal(signal.SIGKILL)
    first.process.wait(DEADLINE)
    wait_for_exit(workers)
    first.ended = True
    gone = run_to_completion("ctl", "-s", path, "status", folder=tmp_path)
    assert gone.code == 5
    assert "nobody answers there" in gone.err[0]
    second = serve("hello", "--control-socket", path)

    assert run_to_completion("ctl", "-s", path, "status", folder=tmp_path).code == 0
    assert second.get("/").status_code == 200


def test_no_worker_has_it_open(server: Server) -> None:
    """Neither the socket nor the connection of a client reaches a worker, also one that is made meanwhile."""
    with connect(server) as client:
        client.sendall(b"{")
        assert ctl(server, "reload", "--wait").code == 0
        inodes = {
            line.split()[6]
            for line in Path("/proc/net/unix").read_text().splitlines()
            if line.endswith("ctl.sock")
        }
        ours = {f"socket:[{inode}]" for inode in inodes}
        ready = [worker["pid"] for worker in status(server)["workers"] if worker["state"] == "ready"]

        assert ours & set(open_descriptors(server.pid))
        for pid in ready:
            assert not ours & set(open_descriptors(pid))


def test_nobody_can_hold_the_arbiter_up(server: Server) -> None:
    """With garbage, twenty clients and silent ones on its socket, it serves and replaces a killed worker."""
    for _ in range(5):
        with connect(server) as client:
            client.sendall(os.urandom(1000).replace(b"\n", b"") + b"\n")
            assert b"a request is one line with a JSON object" in client.recv(1000)
    with ExitStack() as clients:
        silent = [clients.enter_context(connect(server)) for _ in range(20)]
        assert all(b"16 others are being answered" in client.recv(1000) for client in silent[16:])
        mark = server.log.mark()
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for_workers(1, since=mark)
        assert server.get("/").text == "old"

    assert status(server)["pid"] == server.pid

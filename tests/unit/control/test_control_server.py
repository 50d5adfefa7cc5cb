"""The server's end of the control socket: who may come, how many, how long, and what is left of it."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from supervised import DEADLINE, Realm, is_waiting, read_all, read_answer

from workerkit.control import server as module
from workerkit.control.wire import LONGEST_REQUEST
from workerkit.errors import BindError, ConfigError

STATUS = b'{"command": "status"}\n'


# -- the socket ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "expected"), [({}, 0o600), ({"control_socket_mode": 0o660}, 0o660)])
def test_mode_from_the_first_instant(
    realm: Realm, monkeypatch: pytest.MonkeyPatch, mode: dict[str, int], expected: int
) -> None:
    """The file has its permissions before anybody could connect, whatever the umask is."""
    monkeypatch.setattr(os, "chmod", None)
    monkeypatch.setattr(os, "fchmod", None)
    before = os.umask(0)
    try:
        realm.serve(**mode)
    finally:
        os.umask(before)

    assert stat.S_IMODE(os.stat(realm.path).st_mode) == expected


def test_a_living_server_keeps_its_path(realm: Realm) -> None:
    """A second server is refused, and the first one goes on answering."""
    realm.serve()
    with pytest.raises(BindError, match=r"control socket: unix:.* is in use: a server answers there"):
        realm.serve()

    assert realm.ask(command="status")["ok"] is True


def test_a_stale_socket_is_replaced(realm: Realm) -> None:
    """What a killed server left behind is in nobody's way."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(realm.path)
    realm.serve()

    assert realm.ask(command="status")["ok"] is True


def test_what_is_no_socket_is_not_touched(realm: Realm) -> None:
    """Somebody's file at the path is an error, and stays."""
    Path(realm.path).write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not a socket"):
        realm.serve()

    assert Path(realm.path).read_text() == "mine"


def test_the_socket_is_removed_at_the_end(realm: Realm) -> None:
    """Nothing is left of a server that has stopped."""
    realm.serve().detach()

    assert not os.path.exists(realm.path)


def test_a_socket_of_somebody_else_is_left_alone(realm: Realm, tmp_path: Path) -> None:
    """A server whose path has been taken over does not remove what is there now."""
    server = realm.serve()
    os.unlink(realm.path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(realm.path)
        server.detach()

        assert os.path.exists(realm.path)


SUCCESSOR = """\
import sys
from supervised import Realm
from pathlib import Path

realm = Realm(Path(sys.argv[1]))
server = realm.serve()
print("attached", flush=True)
sys.stdin.readline()
server.on_ready()
print("ready", flush=True)
realm.turn_until(lambda: realm.arbiter.told)
realm.close()
"""


def test_a_new_arbiter_takes_the_path_over_when_it_is_ready(realm: Realm, tmp_path: Path) -> None:
    """One that its parent, the server at the path, has started leaves the path to it as long as it may still fail."""
    parent = realm.serve()
    successor = subprocess.Popen(
        [sys.executable, "-c", SUCCESSOR, str(tmp_path)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert successor.stdin is not None
    assert successor.stdout is not None
    try:
        assert successor.stdout.readline() == "attached\n"
        assert realm.ask(command="status")["ok"] is True
        successor.stdin.write("\n")
        successor.stdin.flush()
        assert successor.stdout.readline() == "ready\n"
        parent.detach()
        client = realm.connect()
        client.sendall(b'{"command": "reopen"}\n')

        assert read_answer(client) == {"ok": True}
        assert successor.wait(DEADLINE) == 0
        assert realm.arbiter.told == []
    finally:
        successor.kill()
        successor.communicate()


# -- what clients may cost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n",
        b"\n",
        b"\xff\xfe\x00\n",
        b"[1]\n",
        b"null\n",
        b"[" * 60_000 + b"\n",
        b'{"command": ' + b"9" * 60_000 + b"}\n",
    ],
    ids=["http", "nothing", "binary", "array", "null", "depth", "digits"],
)
def test_garbage(realm: Realm, garbage: bytes) -> None:
    """It is answered with what a request looks like."""
    realm.serve()
    answer = read_answer(realm.send(garbage))

    assert answer == {
        "ok": False,
        "error": 'a request is one line with a JSON object, such as {"command": "status"}',
    }


def test_a_request_has_a_length(realm: Realm) -> None:
    """Past 64 KiB without an end of line, the server has heard enough."""
    realm.serve()
    client = realm.send(b'"' + b"a" * LONGEST_REQUEST)
    realm.turn_until(lambda: not realm.servers[0]._clients)

    assert b"a request is at most 65536 bytes long" in client.recv(1000)


def test_a_request_in_pieces(realm: Realm) -> None:
    """It may come byte by byte."""
    realm.serve()
    client = realm.connect()
    for byte in STATUS:
        client.sendall(bytes([byte]))
        realm.turn()
    realm.turn()

    assert read_answer(client)["ok"] is True


def test_a_silent_client_is_cut_off(realm: Realm) -> None:
    """Who asks nothing for ten seconds is in the way of others; one byte does not buy more time."""
    realm.serve()
    client = realm.send(b"{")
    realm.pass_time(9)
    client.sendall(b" ")
    realm.turn()
    assert is_waiting(client)
    realm.pass_time(1)

    assert read_all(client) == b""


def test_a_client_that_leaves_without_asking(realm: Realm) -> None:
    """Nothing is kept of it."""
    server = realm.serve()
    realm.send(b'{"command": "sta').close()
    realm.turn()

    assert server._clients == set()


def test_so_many_clients_at_a_time(realm: Realm) -> None:
    """The seventeenth is told to come again; when one has left, another one is let in."""
    realm.serve()
    first, *others = [realm.send(b"{") for _ in range(16)]
    one_more = realm.connect()
    realm.turn()

    assert read_answer(one_more) == {"ok": False, "error": "16 others are being answered; try again"}
    assert all(is_waiting(client) for client in others)
    first.close()
    realm.turn()
    assert realm.ask(command="status")["ok"] is True


def test_an_answer_that_the_client_does_not_take(realm: Realm) -> None:
    """It waits outside of the loop's way for ten seconds, then the client is cut off."""
    server = realm.serve()
    realm.arbiter.workers *= 20_000
    client = realm.send(STATUS)
    assert server._clients
    realm.pass_time(10)

    assert server._clients == set()
    assert not read_all(client).endswith(b"\n")


def test_a_long_answer_to_a_slow_reader(realm: Realm) -> None:
    """More than the kernel takes at once arrives whole."""
    realm.serve()
    realm.arbiter.workers *= 20_000
    client = realm.send(STATUS)
    received = b""
    while not received.endswith(b"\n"):
        realm.turn()
        received += client.recv(1 << 20)

    assert received.count(b'"slot"') == 20_000


def test_a_client_that_asks_no_more_is_answered(realm: Realm) -> None:
    """Shutting its sending side, as socat does after its input, is not leaving."""
    realm.serve()
    client = realm.send(b'{"command": "reload", "wait": true}\n')
    client.shutdown(socket.SHUT_WR)
    realm.turn()
    realm.arbiter.waiting[0](None)

    assert read_answer(client) == {"ok": True}


def test_a_client_that_leaves_while_it_waits(realm: Realm) -> None:
    """It frees its place at once, and the end of what it waited for is nobody's business."""
    server = realm.serve()
    realm.send(b'{"command": "reload", "wait": true}\n').close()
    realm.turn()

    assert server._clients == set()
    realm.arbiter.waiting[0]("too late")


def test_without_descriptors_the_loop_does_not_spin(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepting pauses for a second when no descriptor is free."""
    attempts = []

    def accept(_: object) -> None:
        attempts.append(1)
        raise OSError(errno.EMFILE, "Too many open files")

    realm.serve()
    realm.connect()
    with monkeypatch.context() as patch:
        patch.setattr(module.Listener, "accept", accept)
        realm.turn()
        assert len(attempts) == 1
        realm.pass_time(0.9)
        assert len(attempts) == 1
    realm.pass_time(0.2)

    assert realm.ask(command="status")["ok"] is True


def test_the_end_while_accepting_pauses(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without descriptors can stop, too."""

    def accept(_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module.Listener, "accept", accept)
    server = realm.serve()
    realm.connect()
    realm.turn()
    server.detach()
    realm.pass_time(5)

    assert not os.path.exists(realm.path)


# -- the end ---------------------------------------------------------------------------------------------------------


def test_who_waits_is_told_of_the_end(realm: Realm) -> None:
    """A client that waits for a reload learns that the server has stopped."""
    server = realm.serve()
    client = realm.send(b'{"command": "reload", "wait": true}\n')
    server.detach()

    assert read_answer(client) == {"ok": False, "error": "the server has stopped"}


def test_a_child_forgets(realm: Realm) -> None:
    """After a fork, the child has neither the socket nor a client's connection, and the path is untouched."""
    server = realm.serve()
    realm.arbiter.workers *= 20_000
    realm.send(b"{")
    realm.send(STATUS)
    watched = [key.fd for key in realm.loop._selector.get_map().values()]
    ours = [fd for fd in watched if fd != realm.loop._reader.fileno()]
    assert len(ours) == 4  # the listener, two clients, and what waits for one of these
    pid = os.fork()
    if not pid:
        server.forget()
        os._exit(sum(is_open(fd) for fd in ours))
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert realm.ask(command="reopen") == {"ok": True}


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True

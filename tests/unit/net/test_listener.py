"""Listening sockets, with real ones."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workerkit.errors import BindError, ConfigError
from workerkit.net.address import TCPAddress, UnixAddress
from workerkit.net.listener import Listener, ListenerOptions, open_listeners
from workerkit.net.poller import WRITE, wait_for
from workerkit.testing.deadline import DEADLINE

Listen = Callable[..., tuple[Listener, ...]]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Open listeners that are closed when the test ends."""
    opened: list[Listener] = []

    def listen(*bind: str, shares: int = 1, **options: int) -> tuple[Listener, ...]:
        listeners = open_listeners(ListenerOptions(bind=bind, **options), shares=shares)
        opened.extend(listeners)
        return listeners

    yield listen
    for listener in opened:
        listener.close()


def exchange(listener: Listener, name: object, family: int) -> bytes:
    """Connect, send a word and return what the accepting side received."""
    with socket.socket(family) as client:
        client.connect(name)
        client.sendall(b"word")
        accepted, _ = listener.socket.accept()
        with accepted:
            return accepted.recv(10)


def test_port_0_listens_on_a_free_port(listen: Listen) -> None:
    """The system chooses the port, and the listener tells which."""
    [listener] = listen("127.0.0.1:0")
    assert isinstance(listener.address, TCPAddress)

    assert exchange(listener, ("127.0.0.1", listener.address.port), socket.AF_INET) == b"word"
    assert listener.url == f"http://127.0.0.1:{listener.address.port}"


def test_each_share_of_a_port_has_a_listener(listen: Listen, tmp_path: Path) -> None:
    """With ``reuse_port`` an address has as many listeners as there are shares, a Unix socket still one."""
    *shares, unix = listen("127.0.0.1:0", f"unix:{tmp_path / 'web.sock'}", shares=3, reuse_port=True)

    assert len({listener.address for listener in shares}) == 1
    assert [listener.share for listener in shares] == [0, 1, 2]
    assert unix.share is None


def test_a_listener_never_blocks_and_is_not_inherited(listen: Listen) -> None:
    """With nobody waiting, accept says so at once; programs that the application starts do not get the socket."""
    [listener] = listen("127.0.0.1:0")

    with pytest.raises(BlockingIOError):
        listener.socket.accept()
    assert not os.get_inheritable(listener.fileno())


def test_accepted_connections_send_small_packets_at_once(listen: Listen) -> None:
    """TCP_NODELAY is set on the listener, from where accepted sockets inherit it."""
    [listener] = listen("127.0.0.1:0")
    with socket.create_connection(listener.socket.getsockname()):
        accepted, _ = listener.socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_ipv6_has_brackets(listen: Listen) -> None:
    """An IPv6 address listens and is shown as a person would type it."""
    try:
        [listener] = listen("[::1]:0")
    except BindError:
        pytest.skip("this machine has no IPv6")

    assert exchange(listener, listener.socket.getsockname(), socket.AF_INET6) == b"word"
    assert listener.url.startswith("http://[::1]:")


def test_several_addresses(listen: Listen, tmp_path: Path) -> None:
    """Each address that is named becomes a listener, in order."""
    tcp, unix = listen("127.0.0.1:0", f"unix:{tmp_path}/app.sock")

    assert isinstance(tcp.address, TCPAddress)
    assert unix.address == UnixAddress(f"{tmp_path}/app.sock")


def test_a_unix_socket_lives_as_long_as_its_listener(listen: Listen, tmp_path: Path) -> None:
    """The file is made with the permissions that the mask leaves, and removed at the end."""
    path = tmp_path / "app.sock"
    [listener] = listen(f"unix:{path}", socket_umask=0o117)

    assert exchange(listener, str(path), socket.AF_UNIX) == b"word"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert listener.url == f"unix:{path}"
    listener.close()
    assert not path.exists()


def test_the_umask_is_put_back(listen: Listen, tmp_path: Path) -> None:
    """Making a Unix socket does not change what permissions the application's files get."""
    before = os.umask(0o022)
    try:
        listen(f"unix:{tmp_path}/app.sock", socket_umask=0o177)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_an_abstract_socket_has_no_file(listen: Listen) -> None:
    """A name that begins with @ lives in the kernel."""
    name = f"workerkit-test-{os.getpid()}"
    [listener] = listen(f"unix:@{name}")

    assert exchange(listener, f"\0{name}", socket.AF_UNIX) == b"word"
    assert not os.path.exists(f"@{name}")


def test_a_socket_that_nobody_serves_is_replaced(listen: Listen, tmp_path: Path) -> None:
    """What a killed server left behind does not hinder the next one."""
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    [listener] = listen(f"unix:{path}")

    assert exchange(listener, str(path), socket.AF_UNIX) == b"word"


def test_a_socket_that_somebody_serves_is_refused(listen: Listen, tmp_path: Path) -> None:
    """A second server on the same path is an error, and the first one's file stays."""
    path = tmp_path / "app.sock"
    listen(f"unix:{path}")

    with pytest.raises(BindError, match="in use: a server answers there"):
        listen(f"unix:{path}")
    assert path.exists()


def test_a_server_that_is_too_busy_to_answer_is_still_there(listen: Listen, tmp_path: Path) -> None:
    """A socket whose backlog is full belongs to a server that lives; its path is refused, and not taken over."""
    path = tmp_path / "app.sock"
    listen(f"unix:{path}", backlog=0)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(path))

        with pytest.raises(BindError, match="in use"):
            listen(f"unix:{path}")
    assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(listen: Listen, tmp_path: Path) -> None:
    """A mistyped path does not cost anybody a file."""
    path = tmp_path / "notes.txt"
    path.write_text("precious")

    with pytest.raises(ConfigError, match="exists and is not a socket"):
        listen(f"unix:{path}")
    assert path.read_text() == "precious"


def test_another_servers_socket_is_not_removed(listen: Listen, tmp_path: Path) -> None:
    """When a path was given to another server meanwhile, closing ours leaves the other's file."""
    path = tmp_path / "app.sock"
    [ours] = listen(f"unix:{path}")
    path.unlink()
    [others] = listen(f"unix:{path}")

    ours.close()

    assert exchange(others, str(path), socket.AF_UNIX) == b"word"


def test_an_inherited_socket_is_served(listen: Listen, tmp_path: Path) -> None:
    """A socket that whoever started us listens on is served by its descriptor, and its file is not ours to remove."""
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as inherited:
        inherited.bind(str(path))
        inherited.listen()
        [listener] = listen(f"fd://{inherited.fileno()}")

        assert listener.address == UnixAddress(str(path))
        assert exchange(listener, str(path), socket.AF_UNIX) == b"word"
        listener.close()
        assert path.exists()


def test_what_is_inherited_must_listen(listen: Listen) -> None:
    """A file, a closed descriptor and a socket that does not listen are told apart."""
    with socket.socket() as deaf, open(os.devnull) as file:
        with pytest.raises(BindError, match="does not listen"):
            listen(f"fd://{deaf.fileno()}")
        with pytest.raises(BindError, match="no listening socket"):
            listen(f"fd://{file.fileno()}")
    with pytest.raises(BindError, match="Bad file descriptor"):
        listen("fd://1000")


def test_an_address_in_use_names_its_holder(listen: Listen) -> None:
    """The message names the process that has the port, and what to do."""
    [listener] = listen("127.0.0.1:0")

    with pytest.raises(BindError, match=f"in use by pid {os.getpid()}.*--bind"):
        listen(str(listener.address))


@pytest.mark.parametrize(
    ("bind", "reason"),
    [
        ("192.0.2.1:8000", "no such address"),
        ("no-such-host.invalid:8000", "host is not known"),
        ("unix:/no/such/folder/app.sock", "folder does not exist"),
    ],
)
def test_an_address_that_cannot_be_had(listen: Listen, bind: str, reason: str) -> None:
    """The message says why, and nothing of the operating system's numbers."""
    with pytest.raises(BindError, match=reason):
        listen(bind)


def test_one_failure_closes_the_others(listen: Listen, tmp_path: Path) -> None:
    """When one of several addresses cannot be had, nothing is left behind of those before it."""
    path = tmp_path / "app.sock"

    with pytest.raises(ConfigError):
        listen(f"unix:{path}", "localhost:http")
    assert not path.exists()


def test_a_closed_copy_leaves_the_queue_to_the_others(listen: Listen) -> None:
    """A client that waits to be accepted is served by whoever still has the socket."""
    [listener] = listen("127.0.0.1:0")
    copy = listener.socket.dup()
    with socket.create_connection(listener.socket.getsockname()) as client, copy:
        client.sendall(b"word")
        listener.close()

        accepted, _ = copy.accept()
        with accepted:
            assert accepted.recv(10) == b"word"


def test_nobody_new_comes_to_wait_where_a_door_is_shut(listen: Listen) -> None:
    """Who waits already is still accepted; whoever comes later is not answered, and refused in the end."""
    [listener] = listen("127.0.0.1:0")
    where = listener.socket.getsockname()
    with socket.create_connection(where) as waiting, socket.socket() as late:
        listener.shut_out()
        late.setblocking(False)
        late.connect_ex(where)
        assert not listener.refuse(), "somebody waits"
        waiting.sendall(b"word")
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(10) == b"word"
        assert not wait_for(late.fileno(), WRITE, 0.0)

        assert listener.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)


@pytest.mark.parametrize("name", ["path", "abstract"])
def test_a_unix_socket_is_shut_at_once(listen: Listen, tmp_path: Path, name: str) -> None:
    """Nobody finds it any more, and who waits already is accepted."""
    bind = f"unix:{tmp_path / 'app.sock'}" if name == "path" else f"unix:@workerkit-{os.getpid()}"
    [listener] = listen(bind)
    assert isinstance(listener.address, UnixAddress)
    with socket.socket(socket.AF_UNIX) as waiting, socket.socket(socket.AF_UNIX) as late:
        waiting.connect(listener.address.name)
        listener.shut_out()
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            late.connect(listener.address.name)

        listener.accept()[0].close()


def test_what_we_did_not_open_is_not_ours_to_shut(listen: Listen) -> None:
    """A socket that somebody else keeps has a queue that outlives us."""
    with socket.socket() as theirs:
        theirs.bind(("127.0.0.1", 0))
        theirs.listen()
        [listener] = listen(f"fd://{theirs.fileno()}")
        listener.shut_out()

        assert listener.refuse()
        socket.create_connection(theirs.getsockname(), timeout=DEADLINE).close()

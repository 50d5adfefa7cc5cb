"""What a new arbiter takes over of an old one's sockets, and what systemd passes; with real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workerkit.errors import BindError
from workerkit.net.address import TCPAddress
from workerkit.net.inherited import InheritedSocket, InheritedSockets, Passed, take_passed
from workerkit.net.listener import Listener, ListenerOptions, open_listeners, with_passed

Listen = Callable[..., tuple[Listener, ...]]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Open listeners that are closed when the test ends."""
    opened: list[Listener] = []

    def listen(
        *bind: str, inherited: InheritedSockets | None = None, pool: str = "default", shares: int = 1, **options: object
    ) -> tuple[Listener, ...]:
        listeners = open_listeners(ListenerOptions(bind=bind, **options), "http", shares, inherited, pool)
        opened.extend(listeners)
        return listeners

    yield listen
    for listener in opened:
        listener.close()


def handed(*listeners: Listener, pool: str = "default") -> InheritedSockets:
    """Return what a new arbiter is handed: descriptors of its own for the same sockets."""
    return InheritedSockets(
        InheritedSocket(pool, listener.bind, listener.socket.dup(), listener.file) for listener in listeners
    )


def same_socket(one: Listener, other: Listener) -> bool:
    return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))


def test_a_listener_is_taken_over_with_those_who_wait(listen: Listen) -> None:
    """Who was waiting in the old arbiter's queue is accepted by the new one."""
    [old] = listen("127.0.0.1:0")
    with socket.create_connection(old.socket.getsockname()) as client:
        client.sendall(b"word")
        [new] = listen(str(old.address), inherited=handed(old))
        old.close()
        accepted, _ = new.socket.accept()
        with accepted:
            assert accepted.recv(10) == b"word"
    assert not os.get_inheritable(new.fileno())


def test_port_0_means_the_port_that_was_chosen(listen: Listen) -> None:
    """Each pool that asked for any port keeps the one that it has, whatever the order of the pools is now."""
    [web] = listen("127.0.0.1:0")
    [api] = listen("127.0.0.1:0")
    inherited = InheritedSockets(
        InheritedSocket(pool, old.bind, old.socket.dup()) for pool, old in (("web", web), ("api", api))
    )

    [new_api] = listen("127.0.0.1:0", inherited=inherited, pool="api")
    [new_web] = listen("127.0.0.1:0", inherited=inherited, pool="web")
    assert same_socket(new_web, web)
    assert same_socket(new_api, api)


def test_another_spelling_and_another_pool_find_the_same_socket(listen: Listen) -> None:
    """What counts is the address that the kernel knows."""
    [old] = listen("127.0.0.1:0")
    assert isinstance(old.address, TCPAddress)
    [new] = listen(f"localhost:{old.address.port}", inherited=handed(old), pool="web")

    assert same_socket(new, old)


def test_a_new_address_is_opened_and_a_dropped_one_closed(listen: Listen) -> None:
    """The new settings decide where the new arbiter listens."""
    kept, dropped = listen("127.0.0.1:0", "127.0.0.2:0")
    inherited = handed(kept, dropped)
    first, second = listen("127.0.0.3:0", str(kept.address), inherited=inherited)
    inherited.close_unclaimed()
    dropped.close()

    assert same_socket(second, kept)
    assert isinstance(first.address, TCPAddress)
    assert first.address.host == "127.0.0.3"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", dropped.address.port))


def test_shares_are_taken_over_each_with_its_queue(listen: Listen) -> None:
    """With fewer workers than before, no share is dropped; with more, there are more shares."""
    old = listen("127.0.0.1:0", shares=2, reuse_port=True)
    fewer = listen("127.0.0.1:0", inherited=handed(*old), shares=1, reuse_port=True)
    more = listen("127.0.0.1:0", inherited=handed(*old), shares=3, reuse_port=True)

    assert [listener.share for listener in fewer] == [0, 1]
    assert all(map(same_socket, fewer, old))
    assert [listener.share for listener in more] == [0, 1, 2]
    assert all(map(same_socket, more, old))
    assert {listener.address for listener in more} == {old[0].address}


@pytest.mark.parametrize(("before", "after", "shares"), [(True, False, [None, None]), (False, True, [None])])
def test_reuse_port_may_be_switched(listen: Listen, *, before: bool, after: bool, shares: list[None]) -> None:
    """The sockets that are there are served by everybody then: none is lost, and none in the way of another."""
    old = listen("127.0.0.1:0", shares=2, reuse_port=before)
    new = listen("127.0.0.1:0", inherited=handed(*old), shares=2, reuse_port=after)

    assert [listener.share for listener in new] == shares
    assert all(map(same_socket, new, old))


@pytest.mark.parametrize("name", ["{folder}/app.sock", "@workerkit-inherited-{pid}"])
def test_a_unix_socket_is_taken_over(listen: Listen, tmp_path: Path, name: str) -> None:
    """By its file or its abstract name, though a server answers there."""
    bind = f"unix:{name.format(folder=tmp_path, pid=os.getpid())}"
    [old] = listen(bind)
    [new] = listen(bind, inherited=handed(old))

    assert same_socket(new, old)
    assert new.file == old.file


def test_a_name_that_means_another_folder_now_is_another_socket(
    listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is bound anew in the new release's folder, where its clients will look for it."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    [old] = listen("unix:app.sock")
    monkeypatch.chdir(tmp_path / "two")
    inherited = handed(old)
    [new] = listen("unix:app.sock", inherited=inherited)
    inherited.close_unclaimed()

    assert not same_socket(new, old)
    assert (tmp_path / "two" / "app.sock").is_socket()


def test_a_shared_file_outlives_whoever_fails(listen: Listen, tmp_path: Path) -> None:
    """A new arbiter that cannot have another address leaves the old one's file alone."""
    [old] = listen(f"unix:{tmp_path}/app.sock")

    with pytest.raises(BindError):
        listen(f"unix:{tmp_path}/app.sock", "unix:/no/such/folder/app.sock", inherited=handed(old))
    assert (tmp_path / "app.sock").is_socket()


def test_the_file_of_a_dropped_address_goes_when_the_old_arbiter_is_not_needed(listen: Listen, tmp_path: Path) -> None:
    """Until the new one serves, the old one may have to go on."""
    [old] = listen(f"unix:{tmp_path}/app.sock")
    inherited = handed(old)
    inherited.close_unclaimed()
    assert inherited.shared_files == {old.file}
    assert (tmp_path / "app.sock").is_socket()

    inherited.keep()
    assert not inherited.shared_files
    assert not (tmp_path / "app.sock").exists()


# -- systemd --


def variables(pid: int, **more: str) -> dict[str, str]:
    return {"LISTEN_PID": str(pid), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:admin", "HOME": "/", **more}


def test_passed_sockets_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables name them, and are gone once read: what the application starts is not meant."""
    monkeypatch.setattr(os, "set_inheritable", lambda _fd, _value: None)
    environ = variables(os.getpid())

    assert take_passed(environ) == [Passed("web", 3), Passed("admin", 4)]
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("environ", "passed"),
    [
        ({}, 0),
        (variables(os.getppid()), 0),
        (variables(os.getpid(), LISTEN_FDS="nonsense"), 0),
        (variables(os.getpid(), LISTEN_FDNAMES=""), 2),
        (variables(os.getpid(), LISTEN_FDNAMES="only"), 2),
    ],
)
def test_variables_that_are_not_meant_for_us(
    environ: dict[str, str], passed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the process that LISTEN_PID names has them; names may be missing."""
    monkeypatch.setattr(os, "set_inheritable", lambda _fd, _value: None)

    assert len(take_passed(dict(environ))) == passed


def test_sockets_are_served_by_their_name(listen: Listen) -> None:
    """``systemd:web`` is what the unit calls web, ``systemd:`` is all; the descriptors stay whose they are."""
    with socket.create_server(("127.0.0.1", 0)) as web, socket.create_server(("127.0.0.1", 0)) as admin:
        inherited = InheritedSockets(passed=[Passed("web", web.fileno()), Passed("admin", admin.fileno())])
        [one] = listen("systemd:admin", inherited=inherited)
        assert inherited.unserved == f"web (fd://{web.fileno()})"
        both = listen("systemd:", inherited=inherited)
        one.close()
        assert inherited.unserved == ""

        assert one.address == TCPAddress(*admin.getsockname())
        assert [listener.address.port for listener in both] == [web.getsockname()[1], admin.getsockname()[1]]
        assert admin.fileno() >= 0
        with pytest.raises(BindError, match="no socket of that name was passed to this process, but web, admin"):
            listen("systemd:wbe", inherited=inherited)
    with pytest.raises(BindError, match="start it by a socket unit"):
        listen("systemd:web")


def test_a_passed_socket_replaces_the_default_and_nothing_else() -> None:
    """Whoever is started by a socket unit and names no address means that socket."""
    passed = InheritedSockets(passed=[Passed("web", 3)])

    assert with_passed(ListenerOptions(), passed).bind == ("systemd:",)
    assert with_passed(ListenerOptions(), InheritedSockets()).bind == ListenerOptions().bind
    assert with_passed(ListenerOptions(bind=("127.0.0.1:80",)), passed).bind == ("127.0.0.1:80",)


def test_what_is_passed_must_be_a_stream_that_listens(listen: Listen) -> None:
    """A datagram socket of the unit is refused by name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        passed = InheritedSockets(passed=[Passed("web", datagrams.fileno())])
        with pytest.raises(BindError, match="systemd:web is a socket, but it does not listen"):
            listen("systemd:web", inherited=passed)

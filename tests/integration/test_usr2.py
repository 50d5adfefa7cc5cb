"""USR2 with the real command: a new arbiter takes over, and no client notices."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from signal import SIGTERM, SIGUSR2, SIGWINCH, Signals

import pytest
from harness import Gate, Launcher, Server, is_alive, wait_for_exit

from workerkit.testing.processes import open_descriptors
from workerkit.testing.server import COMMAND

STARTS = r"Upgrading: a new arbiter starts \(pid: (\d+)\)"
READY = r"The new arbiter is ready"


class Line:
    """A server through its upgrades: whoever is the arbiter now."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.pid = server.pid

    def signal(self, number: Signals) -> None:
        os.kill(self.pid, number)

    def begin(self) -> int:
        """Ask for an upgrade; return the new arbiter's pid."""
        since = self.server.log.mark()
        self.signal(SIGUSR2)
        return int(self.server.wait_for_log(STARTS, since=since)[0][1])

    def upgrade(self) -> None:
        """Upgrade, and return when the old arbiter has gone."""
        since = self.server.log.mark()
        old, new = self.pid, self.begin()
        self.server.wait_for_log(READY, since=since)
        wait_for_exit([old])
        self.pid = new

    def tell(self, path: str = "/") -> list[object]:
        return json.loads(self.server.fetch(path, Connection="close").body)

    def stop(self) -> None:
        """End whoever serves now, and check that all of them came to a good end."""
        self.signal(SIGTERM)
        wait_for_exit([self.pid])
        self.server.wait_for_end(0)


class Client(threading.Thread):
    """Asks again and again until it is told to stop, and keeps what went wrong."""

    def __init__(self, server: Server, *, keep_alive: bool) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._keep_alive = keep_alive
        self._over = threading.Event()
        self.answers = 0
        self.failures: list[str] = []
        self.start()

    def run(self) -> None:
        connection = None
        while not self._over.is_set():
            try:
                connection = connection or self._server.connect()
                reply = connection.get("/", **({} if self._keep_alive else {"Connection": "close"}))
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
                connection = None
                continue
            self.answers += 1
            if reply.status != 200:
                self.failures.append(str(reply))
            if reply.headers.get("connection") == "close":
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def finish(self) -> None:
        self._over.set()
        self.join()


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "unix:{}/web.sock"])
def test_no_request_is_lost(serve: Launcher, tmp_path: Path, bind: str) -> None:
    """Through three upgrades, clients that connect for each request and clients that stay are all answered."""
    server = serve("tells_release:app", bind=bind.format(tmp_path), workers=2)
    line = Line(server)
    clients = [Client(server, keep_alive=keep_alive) for keep_alive in (False, False, True)]
    arbiters = {line.tell()[1]}
    for _ in range(3):
        line.upgrade()
        arbiters.add(line.tell()[1])
    for client in clients:
        client.finish()

    assert [client.failures for client in clients] == [[], [], []]
    assert all(client.answers > 10 for client in clients)
    assert len(arbiters) == 4
    line.stop()
    assert not (tmp_path / "web.sock").exists()


def test_new_code_is_served_and_descriptors_do_not_grow(serve: Launcher) -> None:
    """The new arbiter loads what is there now, keeps the address, and has as many descriptors as the old one."""
    server = serve("tells_release:app", files={"release": "1"})
    line = Line(server)
    before = len(open_descriptors(line.pid))
    assert line.tell() == ["1", line.pid]
    (server.folder / "release").write_text("2")
    line.upgrade()
    assert line.tell() == ["2", line.pid]
    line.upgrade()
    descriptors = len(open_descriptors(line.pid))
    addresses = set(server.wait_for_addresses(3))
    line.stop()

    assert descriptors == before
    assert len(addresses) == 1


def test_new_settings_are_served(serve: Launcher) -> None:
    """An address that the new settings do not name is closed, its file removed, and a new one opened."""
    config = 'bind = ["unix:{}.sock", "127.0.0.1:0"]\nworkers = 1\n'
    server = serve(
        "--config", "app.toml", "hello", bind=None, workers=None, files={"app.toml": config.format("old")}
    )  # fmt: skip
    line = Line(server)
    (server.folder / "app.toml").write_text(config.format("new"))
    line.upgrade()

    assert not (server.folder / "old.sock").exists()
    with server.connect(f"unix:{server.folder}/new.sock") as connection:
        assert connection.get("/").status == 200
    assert len({port for port in server.wait_for_addresses(4) if port.startswith("http")}) == 1
    line.stop()


def test_a_listener_for_each_worker(serve: Launcher) -> None:
    """With --reuse-port each share is taken over, and whatever waits in it."""
    server = serve("tells_release:app", "--reuse-port", workers=2)
    line = Line(server)
    client = Client(server, keep_alive=False)
    line.upgrade()
    client.finish()
    line.stop()

    assert client.failures == []


def test_with_preload(serve: Launcher) -> None:
    """A new mold loads the new code; one that cannot is given up, though the old arbiter collects every orphan."""
    server = serve("tells_release:app", "--preload", files={"release": "1"}, tracebacks=True)
    line = Line(server)
    (server.folder / "release").write_text("broken")
    line.begin()
    server.wait_for_log("exited with code 3; this one goes on")
    (server.folder / "release").write_text("2")
    line.upgrade()

    assert line.tell() == ["2", line.pid]
    line.stop()


def pids(server: Server) -> dict[str, int]:
    return {path.name: int(path.read_text()) for path in server.folder.glob("*.pid*")}


def test_pid_files(serve: Launcher, gate: Gate) -> None:
    """While both live, FILE is the new arbiter's and FILE.oldbin the old one's; then FILE alone is there."""
    server = serve(
        "tells_release:app", "--pid", "app.pid", files={"release": "1"}, variables={"GATE": str(gate.path)}
    )  # fmt: skip
    line = Line(server)
    assert pids(server) == {"app.pid": line.pid}
    (server.folder / "release").write_text("waits")
    since = server.log.mark()
    new = line.begin()
    server.wait_for_log("waits at the gate", since=since)
    assert pids(server) == {"app.pid": new, "app.pid.oldbin": line.pid}
    gate.open()
    server.wait_for_log(READY, since=since)
    wait_for_exit([line.pid])
    line.pid = new

    assert pids(server) == {"app.pid": new}
    line.stop()
    assert pids(server) == {}


def test_a_release_that_does_not_boot_changes_nothing(serve: Launcher, tmp_path: Path) -> None:
    """The log has the frames and the reason; the old arbiter serves on, with its pid file, and may be asked again."""
    bind = f"unix:{tmp_path}/web.sock"
    server = serve("tells_release:app", "--pid", "app.pid", files={"release": "1"}, bind=bind, tracebacks=True)
    line = Line(server)
    (server.folder / "release").write_text("broken")
    new = line.begin()
    server.wait_for_log(rf"Upgrade given up: the new arbiter \(pid: {new}\) exited with code 3; this one goes on")

    assert line.tell() == ["1", line.pid]
    assert pids(server) == {"app.pid": line.pid}
    assert server.log.find("this release is broken")
    (server.folder / "release").write_text("2")
    line.upgrade()
    assert line.tell() == ["2", line.pid]
    line.stop()


def test_settings_that_cannot_be_used_change_nothing(serve: Launcher) -> None:
    """An error before there is a new arbiter at all is given up like any other."""
    server = serve("--config", "app.toml", "tells_release:app", files={"app.toml": "timeout = 5\n"})
    line = Line(server)
    (server.folder / "app.toml").write_text("tiemout = 5\n")
    line.begin()
    server.wait_for_log("exited with code 1; this one goes on")

    assert line.tell()[1] == line.pid


@pytest.fixture
def waiting(serve: Launcher, gate: Gate) -> tuple[Line, int]:
    """Return a server whose new arbiter waits for the gate while it boots, and that one's pid."""
    variables = {"GATE": str(gate.path)}
    server = serve("tells_release:app", "--pid", "app.pid", files={"release": "1"}, variables=variables)
    line = Line(server)
    (server.folder / "release").write_text("waits")
    return line, line.begin()


def test_a_second_upgrade_is_refused(waiting: tuple[Line, int], gate: Gate) -> None:
    """One at a time; the first one goes on."""
    line, new = waiting
    line.signal(SIGUSR2)
    line.server.wait_for_log(rf"No upgrade: one is under way already \(pid: {new}\)")
    gate.open()
    line.server.wait_for_log(READY)
    wait_for_exit([line.pid])
    line.pid = new

    assert line.tell() == ["waits", new]
    line.stop()


def test_a_new_arbiter_that_is_told_to_stop_rolls_back(waiting: tuple[Line, int]) -> None:
    """TERM to the new one, before it is ready, leaves everything with the old one."""
    line, new = waiting
    line.server.wait_for_log("waits at the gate")
    os.kill(new, SIGTERM)
    line.server.wait_for_log(rf"Upgrade given up: the new arbiter \(pid: {new}\)")

    assert line.tell() == ["1", line.pid]
    assert pids(line.server) == {"app.pid": line.pid}


def test_a_stop_ends_both(waiting: tuple[Line, int]) -> None:
    """TERM to the old one while the new one boots: nobody is left."""
    line, new = waiting
    line.server.stop()

    assert not is_alive(new)
    assert pids(line.server) == {}


def test_signals_to_an_arbiter_that_leaves_do_no_harm(serve: Launcher, gate: Gate) -> None:
    """WINCH and TERM, which complete an upgrade elsewhere, may be sent; the request under way is finished."""
    server = serve("holds_at_gate:app", variables={"GATE": str(gate.path)})
    line = Line(server)
    with server.connect() as held:
        held.send(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        server.wait_for_log("held at the gate")
        new = line.begin()
        server.wait_for_log(READY)
        line.signal(SIGWINCH)
        line.signal(SIGTERM)
        assert int(server.fetch("/").body) in set(server.workers())
        assert is_alive(line.pid)
        gate.open()
        assert held.read_response().status == 200
    wait_for_exit([line.pid])
    line.pid = new
    line.stop()


def test_the_application_sees_nothing_of_it(serve: Launcher) -> None:
    """No variable of the hand-over reaches workers, nor what they start."""
    server = serve("tells_release:app")
    line = Line(server)
    before = line.tell("/variables")
    line.upgrade()

    assert line.tell("/variables") == before
    assert not [name for name in before if re.search("FDS|LISTEN|NOTIFY", str(name))]
    line.stop()


CURRENT = 'mkdir one two; echo 1 > one/release; echo 2 > two/release; ln -s one current; cd current; exec "$@"'


def test_a_link_to_the_newest_release_is_followed(serve: Launcher, tmp_path: Path) -> None:
    """A server that was started in ``current`` is upgraded to where that leads now."""
    server = serve("tells_release:app", program=("sh", "-c", CURRENT, "sh", *COMMAND))
    line = Line(server)
    assert line.tell()[0] == "1"
    (server.folder / "next").symlink_to("two")
    (server.folder / "next").rename(server.folder / "current")
    line.upgrade()

    assert line.tell()[0] == "2"
    line.stop()

"""What the gevent and the eventlet worker have in common, through the real command."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from signal import SIGTERM

import pytest
from harness import DEADLINE, EXAMPLES, Gate, Launcher, RawConnection, Server, environment, wait_for_exit

SHOP = EXAMPLES / "flask_shop"
NOTES = EXAMPLES / "django_notes"
GET = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"

Serve = Callable[..., Server]


@pytest.fixture(params=["gevent", "eventlet"])
def worker_class(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(serve: Launcher, worker_class: str, gate: Gate) -> Serve:
    """Start a server of the worker class whose application can be held."""

    def start(application: str = "cooperates:app", *arguments: str, **named: object) -> Server:
        variables = {"GATE": str(gate.path), **dict(named.pop("variables", {}))}  # type: ignore[call-overload]
        return serve(application, "--worker-class", worker_class, *arguments, variables=variables, **named)

    return start


@contextlib.contextmanager
def clients(server: Server, count: int) -> Iterator[list[RawConnection]]:
    """Open connections that stay open."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server.connect()) for _ in range(count)]


def ask(client: RawConnection, target: bytes) -> None:
    client.send(GET % target)


# -- patching --


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_patched_before_ssl_and_the_application(start: Serve, worker_class: str, preload: list[str]) -> None:
    """When the application is imported, ssl was not there yet unpatched, and all that it imports is patched."""
    server = start("cooperates:app", *preload)

    told = server.get("/patched").text.split()

    assert all(module.startswith((worker_class, "threading")) for module in told[:5]), told
    assert "Imported before" not in server.log.text


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_post_patch_is_called_after_patching(start: Serve, worker_class: str, preload: list[str]) -> None:
    """The hook finds the standard library patched, in the process that imports the application."""
    server = start("cooperates:app", "--post-patch", "cooperates:note_what_is_there", *preload)

    assert server.get("/hook").text.startswith(worker_class)


def test_what_was_imported_too_early_is_named_in_one_line(serve: Launcher, worker_class: str) -> None:
    """A configuration file that imports ssl and a module with a name of its own for sleep: one warning, both named."""
    server = serve(
        "cooperates:app",
        "--worker-class",
        worker_class,
        "--config",
        "early.conf.py",
        files={"early.conf.py": "import imports_early\n"},
    )

    warnings = [line for line in server.log.lines if "Imported before" in line]

    assert len(warnings) == 1
    assert f"Imported before {worker_class} could patch" in warnings[0]
    assert re.search(r"worker: ssl, .*imports_early", warnings[0])


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_children_and_names_do_not_hang(start: Serve, preload: list[str]) -> None:
    """Subprocesses are waited for and names resolved, also where the patched process was forked."""
    # From Python 3.12 on, a fork in a process with threads, such as our watchdog's, is a DeprecationWarning.
    server = start("cooperates:app", *preload, tracebacks=sys.version_info >= (3, 12))

    assert server.get("/subprocess").text == "from a child\n"
    assert server.get("/resolve").text in ("127.0.0.1", "::1")


# -- many at a time --


def test_requests_wait_together(start: Serve, gate: Gate) -> None:
    """Two hundred requests are inside the application at once, and others are answered meanwhile."""
    server = start()
    with clients(server, 200) as held:
        for client in held:
            ask(client, b"/held")
        server.wait_for_log("held at the gate", count=200)
        assert server.get("/").text == "done"
        for _ in held:
            gate.open()

        assert [client.read_response().status for client in held] == [200] * 200


def test_sleeping_requests_take_as_long_as_one(start: Serve) -> None:
    """Two hundred requests that sleep for 50 ms need far less than the ten seconds of one after the other."""
    server = start()
    with clients(server, 200) as sleepers:
        began = time.monotonic()
        for client in sleepers:
            ask(client, b"/sleep")
        bodies = {client.read_response().body for client in sleepers}
        took = time.monotonic() - began

    assert bodies == {b"done"}
    assert took < 3.0


def test_idle_and_dripping_clients_hold_nobody(start: Serve) -> None:
    """Clients that say nothing, or half a head, cost the others nothing; a late head is answered with 408."""
    server = start("cooperates:app", "--head-timeout", "1")
    with clients(server, 30) as slow:
        for client in slow[:15]:
            client.send(b"GET / HTTP/1.1\r\nHo")
        assert server.get("/").text == "done"

        assert [client.read_response().status for client in slow[:15]] == [408] * 15
        assert all(client.at_end() for client in slow[15:])


def test_the_cap_leaves_the_rest_in_the_backlog(start: Serve, gate: Gate) -> None:
    """At worker-connections nobody else is accepted, until somebody leaves."""
    server = start("cooperates:app", "--worker-connections", "2")
    with clients(server, 2) as inside:
        for client in inside:
            ask(client, b"/held")
        server.wait_for_log("held at the gate", count=2)
        with server.connect() as outside:
            ask(outside, b"/")
            outside.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                outside.socket.recv(1, socket.MSG_PEEK)
            outside.socket.settimeout(10)
            gate.open()
            gate.open()
            for client in inside:
                client.read_response()
            inside[0].close()

            assert outside.read_response().body == b"done"


def test_pipelined_requests_are_answered_in_order(start: Serve) -> None:
    """Requests that arrive together are answered one after the other, on one connection."""
    server = start()
    with server.connect() as client:
        client.send(GET % b"/" + GET % b"/hook" + GET % b"/sleep")

        assert [client.read_response().body for _ in range(3)] == [b"done", b"nothing", b"done"]


# -- waiting inside a job --


def test_a_streamed_body_is_waited_for(start: Serve) -> None:
    """The application reads a body that comes in parts, while others are answered."""
    server = start("cooperates:app", "--request-buffer", "4")
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 12\r\n\r\nabc")
        for part in (b"def", b"ghi", b"jkl"):
            assert server.get("/").text == "done"
            client.send(part)

        assert client.read_response().body == b"abcdefghijkl"


def test_a_body_that_does_not_come_ends_the_wait(start: Serve) -> None:
    """A job that waits for its client is given up after body-timeout."""
    server = start("cooperates:app", "--request-buffer", "4", "--body-timeout", "0.2")
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 12\r\n\r\nabc")

        assert client.read_response("POST").status == 408
        assert client.at_end()
    assert server.get("/").text == "done"


def test_a_slow_reader_gets_everything(start: Serve) -> None:
    """A response of 32 MiB that its client does not take is waited with, and holds nobody up."""
    server = start("cooperates:app", "--response-memory", "1024", "--response-buffer", "4096")
    with server.connect() as client:
        ask(client, b"/big")
        assert server.get("/").text == "done"

        assert len(client.read_response().body) == 512 * 65536


# -- trouble --


def test_a_blocked_hub_is_logged_once_with_stacks(start: Serve, gate: Gate) -> None:
    """While one request blocks, the log shows where, and where others wait; then all goes on."""
    server = start("holds_at_gate:app", "--blocked-after", "0.3")
    with server.connect() as client:
        ask(client, b"/held")
        server.wait_for_log("The hub has not turned for")
        server.wait_for_log(r'holds_at_gate\.py", line \d+, in app')
        gate.open()
        assert client.read_response().status == 200

    assert server.get("/").status_code == 200
    assert server.log.text.count("The hub has not turned for") == 1


def test_the_others_stacks_are_logged_too(start: Serve, gate: Gate) -> None:
    """The report of a blocked hub counts the greenlets that wait in one place."""
    server = start("cooperates_or_blocks:app", "--blocked-after", "0.3")
    with clients(server, 3) as held, server.connect() as blocking:
        for client in held:
            ask(client, b"/held")
        server.wait_for_log("held at the gate", count=3)
        ask(blocking, b"/blocked")
        server.wait_for_log("3 waiting here:")
        server.wait_for_log("in wait_at_gate")
        for _ in range(4):
            gate.open()
            gate.open()
        assert [client.read_response().status for client in (*held, blocking)] == [200] * 4


def test_a_hub_stuck_in_c_is_killed(start: Serve) -> None:
    """A worker whose hub does not turn is killed after --timeout, and another one serves."""
    server = start("stuck_in_c:app", "--timeout", "1")
    (pid,) = server.workers()
    with server.connect() as client:
        ask(client, b"/")
        server.wait_for_log("stuck in C now")
        wait_for_exit([pid])

    server.wait_for_workers(2)


# -- leaving --


def test_draining_finishes_requests(start: Serve, gate: Gate) -> None:
    """Stopped gracefully, a worker answers what has begun, closes its connection, and leaves."""
    server = start()
    with server.connect() as client, server.connect() as idle:
        ask(idle, b"/")
        idle.read_response()
        ask(client, b"/held")
        server.wait_for_log("held at the gate")
        server.signal(SIGTERM)
        # The idle one is closed because of the order, which has arrived then.
        assert idle.at_end()
        gate.open()
        reply = client.read_response()

        assert reply.status == 200
        assert reply.headers["connection"] == "close"
        assert client.at_end()
    server.wait_for_end(0)


def test_max_requests_replaces_a_worker_without_losing_any(start: Serve) -> None:
    """A worker that has had its requests is replaced; each request is answered."""
    server = start("tells_pid:app", "--max-requests", "5")
    (first,) = server.workers()
    with server.client() as client:
        pids = {client.get("/").text for _ in range(6)}
        _, second = server.wait_for_workers(2)
        wait_for_exit([first])

        assert pids == {str(first)}
        assert client.get("/").text == str(second)


def test_a_signal_to_the_worker_drains_it(start: Serve) -> None:
    """TERM to a worker makes it leave and be replaced: the hub lets signal handlers run."""
    server = start("tells_pid:app")
    (pid,) = server.workers()
    mark = server.log.mark()

    os.kill(pid, SIGTERM)

    wait_for_exit([pid])
    server.wait_for_workers(1, since=mark)


# -- as many workers as the load asks for --


def test_requests_that_wait_make_more_workers(start: Serve) -> None:
    """Greenlets that hold the hub up take a small share of what might run; it is the waiting that calls for help."""
    server = start("burns_processor_time:app", workers="1..2", ready=1)
    enough = threading.Event()

    def keep_asking(_number: int) -> None:
        with server.connect() as client:
            while not enough.is_set():
                client.get("/")

    with ThreadPoolExecutor(8) as threads:
        asking = [threads.submit(keep_asking, number) for number in range(8)]
        try:
            server.wait_for_log("but requests wait: 2 workers instead of 1", timeout=10.0)
            server.wait_for_workers(2)
        finally:
            enough.set()
    for client in asking:
        client.result()


# -- real applications --


def test_flask_shop_is_served(serve: Launcher, worker_class: str) -> None:
    """The Flask example keeps a visitor's cart over connections, on two preloaded workers."""
    database = str(serve.folder / "shop.sqlite3")
    server = serve(
        "app:app", "--worker-class", worker_class, "--preload",
        workers=2, path=[SHOP], variables={"SHOP_DATABASE": database},
    )  # fmt: skip
    with server.client() as visitor:
        assert visitor.get("/").text.count('class="card"') == 6
        assert visitor.post("/cart", data={"product": 3, "quantity": 2}).status_code == 303
        assert "€ 35.80" in visitor.get("/cart").text


def test_django_notes_is_served(serve: Launcher, worker_class: str) -> None:
    """The Django example shows its pages on two workers: its connections are one to a greenlet."""
    variables = {"NOTES_DATABASE": str(serve.folder / "notes.sqlite3")}
    subprocess.run(
        [sys.executable, NOTES / "manage.py", "migrate", "--verbosity=0"],
        env=environment([NOTES], variables),
        timeout=DEADLINE,
        check=True,
    )
    server = serve("notebook.wsgi", "--worker-class", worker_class, workers=2, path=[NOTES], variables=variables)

    pages = [server.get("/admin/login/") for _ in range(4)]

    assert all("csrfmiddlewaretoken" in page.text for page in pages)

"""The ``workerkit`` command from the outside: its flags, its files, its signals, its processes."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from harness import Gate, Launcher, Server, processes_of_group, run_to_completion, wait_for_exit

from workerkit.testing.observed import look_until

QUOTED = r'"((?:[^"\\]|\\.)*)"'
MOMENT = r"\[\d\d/\w{3}/\d{4}(?::\d\d){3} [+-]\d{4}\]"
COMMON_LOG = re.compile(rf"(\S+) - - {MOMENT} {QUOTED} (\d{{3}}) (\d+|-) {QUOTED} {QUOTED}")


def pid_from(client: httpx.Client) -> int:
    return int(client.get("/").raise_for_status().text)


# Asking the command


def test_version(tmp_path: Path) -> None:
    """``--version`` prints the installed version on standard output."""
    finished = run_to_completion("--version", folder=tmp_path)

    assert (finished.code, finished.err) == (0, [])
    assert version("workerkit") in finished.out[0]


def test_help(tmp_path: Path) -> None:
    """``--help`` has an example near its top, flags in groups, and each flag of the issue."""
    finished = run_to_completion("--help", folder=tmp_path)
    text = "\n".join(finished.out)
    headings = [line for line in finished.out if re.match(r"[A-Z][^:]*:$", line)]

    assert (finished.code, finished.err) == (0, [])
    assert any("workerkit app:app" in line for line in finished.out[:12])
    assert len(headings) >= 3
    for flag in (
        *("-w", "--workers", "-b", "--bind", "-k", "--worker-class", "-c", "--config", "-t", "--timeout"),
        *("--graceful-timeout", "--keep-alive", "--max-requests", "--max-requests-jitter", "--preload"),
        *("--chdir", "--pythonpath", "--access-logfile", "--error-logfile", "--log-level", "--pid"),
        *("--check-config", "--version", "--help", "--factory"),
    ):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", text), flag


def test_help_fits_a_narrow_terminal(tmp_path: Path) -> None:
    """``--help`` keeps to the width that the terminal says it has."""
    finished = run_to_completion("--help", folder=tmp_path, variables={"COLUMNS": "80"})

    assert [line for line in finished.out if len(line) > 80] == []


def test_check_config_that_is_good(tmp_path: Path) -> None:
    """``--check-config`` loads the application, serves nothing and ends with 0."""
    assert run_to_completion("--check-config", "hello", folder=tmp_path).code == 0


def test_several_threads_make_it_a_threaded_worker(serve: Launcher, tmp_path: Path) -> None:
    """With ``--threads 2``, both ``--check-config`` and the environ name the class that runs."""
    checked = run_to_completion("--check-config", "--threads", "2", "hello", folder=tmp_path)
    server = serve("tells_settings:app", "--threads", "2")

    assert checked.out == ["OK: hello can be served by 1 threaded worker(s)"]
    assert server.get("/").json()["worker_class"] == "threaded"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["hello:nothing"], 4),
        (["fails_on_import"], 3),
        (["-k", "synk", "hello"], 1),
        (["--backlog=x", "hello"], 2),
    ],
)
def test_check_config_that_is_bad(tmp_path: Path, arguments: list[str], code: int) -> None:
    """``--check-config`` ends with the exit code that serving would have ended with."""
    assert run_to_completion("--check-config", *arguments, folder=tmp_path).code == code


# What is served


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["hello"], "Hello, world!\n"),
        (["hello:application"], "Hello, world!\n"),
        (["hello:greet()"], "Hello, you!\n"),
        (['hello:greet("Ada", times=2)'], "Hello, Ada! Hello, Ada!\n"),
        (["--factory", "factory_without_call:create_app"], "made by the factory"),
    ],
)
def test_spellings_of_an_application(serve: Launcher, arguments: list[str], text: str) -> None:
    """A module alone, a name in it, a factory with and without literals, and ``--factory`` are served."""
    assert serve(*arguments).get("/").text == text


def test_application_in_the_current_folder(serve: Launcher) -> None:
    """A module in the folder where the command starts is found without any setting."""
    server = serve("shop_front", files={"shop_front.py": "from hello import application\n"})

    assert server.get("/").text == "Hello, world!\n"


def test_chdir(serve: Launcher, tmp_path: Path) -> None:
    """``--chdir`` is where the application is found and where it runs."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "moved.py").write_text("from tells_settings import app\n")
    server = serve("--chdir", str(tmp_path / "elsewhere"), "moved:app")

    assert server.get("/").json()["cwd"] == str(tmp_path / "elsewhere")


def test_pythonpath(serve: Launcher, tmp_path: Path) -> None:
    """``--pythonpath`` folders, with a comma between, come first when modules are searched."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    (folders[1] / "far_away.py").write_text("from tells_settings import app\n")
    server = serve("--pythonpath", ",".join(map(str, folders)), "far_away:app")

    assert set(map(str, folders)) <= set(server.get("/").json()["path"][:4])


# Where it listens


def test_port_0_is_told(serve: Launcher) -> None:
    """Port 0 takes a free port, and the log names the port that it got."""
    server = serve("hello")

    assert server.port > 0
    assert server.get("/").text == "Hello, world!\n"


def test_unix_socket(serve: Launcher, tmp_path: Path) -> None:
    """A unix socket is served, and its file is gone when the server is."""
    path = tmp_path / "web.sock"
    server = serve("hello", bind=f"unix:{path}")
    with server.client() as client:
        text = client.get("/").text
    server.stop()

    assert text == "Hello, world!\n"
    assert not path.exists()


def test_unix_socket_left_behind(serve: Launcher, tmp_path: Path) -> None:
    """A socket file that nobody listens on any more does not stand in the way."""
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with serve("hello", bind=f"unix:{path}").client() as client:
        assert client.get("/").status_code == 200


def test_several_addresses(serve: Launcher, tmp_path: Path) -> None:
    """Several ``--bind`` are all served, here two ports and a unix socket."""
    server = serve("tells_pid:app", "--bind", "127.0.0.1:0", "--bind", f"unix:{tmp_path / 'web.sock'}")
    addresses = server.wait_for_addresses(3)

    assert len(set(addresses)) == 3
    for address in addresses:
        with server.client(address) as client:
            assert [pid_from(client)] == server.workers()


def test_ipv6(serve: Launcher) -> None:
    """An address of IPv6 is written and told in brackets."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = serve("hello", bind="[::1]:0")

    assert server.url.startswith("http://[::1]:")
    assert server.get("/").status_code == 200


def test_inherited_descriptor(serve: Launcher) -> None:
    """``fd://N`` serves a listening socket that somebody else opened."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        server = serve("hello", bind=f"fd://{number}", pass_fds=[number])
        port = listener.getsockname()[1]
    with server.client(f"http://127.0.0.1:{port}") as client:
        assert client.get("/").text == "Hello, world!\n"


def test_variable_port(serve: Launcher) -> None:
    """The variable PORT is honoured where no address is given: all interfaces, that port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = serve("hello", bind=None, variables={"PORT": str(port)})

    assert server.url == f"http://0.0.0.0:{port}"
    with server.client(f"http://127.0.0.1:{port}") as client:
        assert client.get("/").status_code == 200


# Where its settings come from


PYTHON_FILE = 'workers = 1 + 1\nbind = "127.0.0.1:0"\nwsgi_app = "tells_pid:app"\n'
TOML_FILE = 'workers = 2\nbind = ["127.0.0.1:0"]\nwsgi_app = "tells_pid:app"\n'


@pytest.mark.parametrize(("name", "text"), [("site.conf.py", PYTHON_FILE), ("site.toml", TOML_FILE)])
def test_configuration_file(serve: Launcher, name: str, text: str) -> None:
    """A file in Python or TOML, with gunicorn's names, sets the workers, the address and the application."""
    server = serve("-c", name, bind=None, workers=None, ready=2, files={name: text})

    assert int(server.get("/").text) in server.workers()
    assert len(server.workers()) == 2


def test_flags_go_before_files_and_files_before_variables(serve: Launcher) -> None:
    """A flag wins over a file, and a file over a platform variable."""
    files, variables = {"site.toml": "workers = 2\n"}, {"WEB_CONCURRENCY": "3"}
    by_flag = serve("-c", "site.toml", "tells_pid:app", workers=1, files=files, variables=variables)
    by_file = serve("-c", "site.toml", "tells_pid:app", workers=None, ready=2, files=files, variables=variables)

    assert (len(by_flag.workers()), len(by_file.workers())) == (1, 2)


def test_variable_web_concurrency(serve: Launcher) -> None:
    """WEB_CONCURRENCY is the number of workers where nothing else sets it."""
    server = serve("tells_pid:app", workers=None, ready=3, variables={"WEB_CONCURRENCY": "3"})

    assert len(server.workers()) == 3


@pytest.mark.parametrize(("trusted", "scheme"), [("192.0.2.1", "http"), ("*", "https")])
def test_variable_forwarded_allow_ips(serve: Launcher, trusted: str, scheme: str) -> None:
    """FORWARDED_ALLOW_IPS says whose X-Forwarded-Proto is believed."""
    server = serve("tells_settings:app", variables={"FORWARDED_ALLOW_IPS": trusted})
    with server.client() as client:
        facts = client.get("/", headers={"X-Forwarded-Proto": "https"}).json()

    assert facts["scheme"] == scheme


def test_workers_auto(serve: Launcher) -> None:
    """``--workers auto`` starts at least one worker and no more than there are processors."""
    server = serve("--workers", "auto", "tells_pid:app", workers=None, ready=1)

    # Whoever answers may be the last of them, and say so before the log does.
    server.wait_for_log(rf"Worker ready \(pid: {server.get('/').text}\b")
    assert len(server.workers()) <= len(os.sched_getaffinity(0))


# What it writes


def test_pid_file(serve: Launcher) -> None:
    """``--pid`` names the arbiter's process while it lives and is gone afterwards."""
    server = serve("--pid", "web.pid", "hello")
    file = server.folder / "web.pid"
    written = file.read_text()
    server.stop()

    assert written == f"{server.pid}\n"
    assert not file.exists()


def test_access_log(serve: Launcher) -> None:
    """``--access-logfile`` gets a line for each request in gunicorn's default format."""
    server = serve("--access-logfile", "access.log", "hello")
    with server.client() as client:
        client.get("/a?b=c", headers={"Referer": "http://here/", "User-Agent": "me"})
        client.head("/head", headers={"User-Agent": "me"})
    server.stop()
    lines = (server.folder / "access.log").read_text().splitlines()
    matches = [match for line in lines if (match := COMMON_LOG.fullmatch(line))]

    assert len(matches) == len(lines) == 2, lines
    assert matches[0].groups() == ("127.0.0.1", "GET /a?b=c HTTP/1.1", "200", "14", "http://here/", "me")
    assert matches[1][2] == "HEAD /head HTTP/1.1"
    assert matches[1][5] == "-"


def test_access_log_cannot_be_forged(serve: Launcher) -> None:
    """A quotation mark that a client sends does not end a field of the access log."""
    server = serve("--access-logfile", "access.log", "hello")
    server.exchange(b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a" "\\" b\r\nReferer: \\\r\nConnection: close\r\n\r\n')
    server.stop()
    lines = (server.folder / "access.log").read_text().splitlines()

    assert len(lines) == 1
    assert COMMON_LOG.fullmatch(lines[0]), lines


@pytest.mark.parametrize("workers", [0, 2])
def test_usr1_reopens_the_access_log(serve: Launcher, workers: int) -> None:
    """After USR1 a renamed access log is left alone, a new one begins, and no line is lost."""
    server = serve("--access-logfile", "access.log", "hello", workers=workers)
    file, renamed = server.folder / "access.log", server.folder / "access.log.1"
    sent = 0
    with server.client() as client:
        client.get("/before")
        file.rename(renamed)
        server.signal(signal.SIGUSR1)
        # Each turn is a request that some worker answers and logs; the new file appears with the reopening.
        while not (file.exists() and file.stat().st_size) and sent < 5000:
            client.get(f"/{sent}")
            sent += 1
    server.stop()
    lines = renamed.read_text().splitlines() + file.read_text().splitlines()

    assert "/before" in lines[0]
    assert len(lines) == sent + 1


@pytest.fixture
def run_silently(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Serve one request and stop, with flags that keep the log away from standard error."""

    def run(*arguments: str) -> Server:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            number = listener.fileno()
            bind = ["--bind", f"fd://{number}"]
            server = Server([*bind, *arguments, "hello"], folder=tmp_path, pass_fds=[number])
            servers.append(server)
            with server.client(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
                client.get("/")
        server.stop()
        return server

    servers: list[Server] = []
    yield run
    for server in servers:
        server.close()


def test_error_log_to_a_file(run_silently: Callable[..., Server]) -> None:
    """``--error-logfile`` takes what would go to standard error."""
    server = run_silently("--error-logfile", "error.log")

    assert server.log.lines == []
    assert "Listening at: " in (server.folder / "error.log").read_text()


def test_log_level(run_silently: Callable[..., Server]) -> None:
    """``--log-level warning`` leaves nothing to say about a good start and end."""
    assert run_silently("--log-level", "warning").log.lines == []


# Signals


@pytest.fixture
def held(serve: Launcher, gate: Gate) -> Iterator[Server]:
    """A server of two workers whose application holds ``/held`` at the gate."""
    yield serve("holds_at_gate:app", "--graceful-timeout", "8", workers=2, variables={"GATE": str(gate.path)})
    gate.open()


HELD = b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_term_lets_a_request_finish(held: Server, gate: Gate) -> None:
    """After TERM the idle worker goes, a request in flight is answered, and the server ends with 0."""
    with held.connect() as connection:
        connection.send(HELD)
        held.wait_for_log("held at the gate")
        workers = held.workers()
        held.signal(signal.SIGTERM)
        gone = wait_for_exit(workers, count=1)
        gate.open()
        reply = connection.read_response()
        closed = connection.at_end()
    held.wait_for_end(0)

    assert reply.status == 200
    assert closed
    assert {int(reply.body), *gone} == set(workers)


def test_a_storm_of_term_changes_nothing_of_a_graceful_stop(serve: Launcher) -> None:
    """Signals that come while the server ends, up to its last moment, do not turn its exit into a death."""
    server = serve("hello")

    while server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)

    server.wait_for_end(0)


def test_term_gives_up_at_the_graceful_timeout(serve: Launcher, gate: Gate) -> None:
    """A request that outlasts ``--graceful-timeout`` is cut off; the log warns with the worker's pid."""
    server = serve("holds_at_gate:app", "--graceful-timeout", "0.3", variables={"GATE": str(gate.path)})
    [worker] = server.workers()
    with server.connect() as connection:
        connection.send(HELD)
        server.wait_for_log("held at the gate")
        server.stop()

    server.wait_for_log(rf"\[(WARNING|ERROR|CRITICAL)\].*\b{worker}\b")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_do_not_wait(held: Server, number: signal.Signals) -> None:
    """INT and QUIT end the server at once, whatever is in flight."""
    with held.connect() as connection:
        connection.send(HELD)
        held.wait_for_log("held at the gate")
        held.stop(number, timeout=3)


def test_hup_replaces_all_workers(serve: Launcher) -> None:
    """HUP brings new workers and ends all old ones; requests meanwhile are all answered."""
    server = serve("tells_pid:app", workers=2)
    old = server.workers()
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    answers = [server.get("/").status_code for _ in range(20)]
    new = server.wait_for_workers(2, since=mark)
    wait_for_exit(old)
    answers += [server.get("/").status_code for _ in range(5)]

    assert set(answers) == {200}
    assert not set(old) & set(new)
    assert server.workers() == new


def test_hup_lets_a_request_finish(held: Server, gate: Gate) -> None:
    """A request that is in flight during HUP is answered by the worker that had taken it."""
    old = held.workers()
    mark = held.log.mark()
    with held.connect() as connection:
        connection.send(HELD)
        held.wait_for_log("held at the gate")
        held.signal(signal.SIGHUP)
        held.wait_for_workers(2, since=mark)
        gate.open()
        reply = connection.read_response()
    wait_for_exit(old)

    assert reply.status == 200
    assert int(reply.body) in old


def test_hup_with_a_broken_application(serve: Launcher) -> None:
    """When the new code cannot be loaded, the log says why and the old workers go on serving."""
    server = serve("changing", workers=2, files={"changing.py": "from tells_pid import app\n"}, tracebacks=True)
    old = server.workers()
    (server.folder / "changing.py").write_text('raise RuntimeError("half saved")\n')
    server.signal(signal.SIGHUP)
    server.wait_for_log("half saved")

    assert int(server.get("/").text) in old
    assert server.workers() == old


def test_ttin_and_ttou(serve: Launcher) -> None:
    """TTIN adds a worker that serves; TTOU takes one away."""
    server = serve("tells_pid:app", workers=1)
    mark = server.log.mark()
    server.signal(signal.SIGTTIN)
    server.wait_for_workers(1, since=mark)
    grown = server.workers()
    seen = server.visit_every_worker(pid_from)
    server.signal(signal.SIGTTOU)
    wait_for_exit(grown, count=1)

    assert len(grown) == 2
    assert seen == set(grown)
    assert len(server.workers()) == 1
    assert server.get("/").status_code == 200


# Processes


def test_worker_that_dies_is_replaced(serve: Launcher) -> None:
    """A killed worker is replaced at once, and its death is in the log with its signal."""
    server = serve("tells_pid:app", workers=2)
    victim, other = server.workers()
    mark = server.log.mark()
    os.kill(victim, signal.SIGKILL)
    successor = server.wait_for_workers(1, since=mark)
    server.wait_for_log(rf"{victim}.*(SIGKILL|signal 9)", since=mark)

    assert set(server.workers()) == {other, *successor}
    assert int(server.get("/").text) in server.workers()


@pytest.mark.parametrize("kept", [True, False], ids=["kept connection", "new connections"])
def test_max_requests(serve: Launcher, kept: bool) -> None:
    """A worker is replaced after ``--max-requests``, time and again, and no request fails."""
    server = serve("--max-requests", "10", "tells_pid:app")
    pids: list[int] = []
    with server.client() as client:
        while len(set(pids)) < 5 and len(pids) < 1000:
            pids.append(pid_from(client) if kept else int(server.get("/").text))

    assert len(set(pids)) == 5
    assert all(pids.count(pid) >= 10 for pid in set(pids) - {pids[-1]})


def test_preload_imports_once(serve: Launcher) -> None:
    """With ``--preload`` both workers have the application that one other process imported."""
    server = serve("--preload", "tells_pid:app", workers=2)
    importers = {int(server.get("/loaded-by").text) for _ in range(20)}

    assert len(importers) == 1
    assert not importers & set(server.workers())
    assert importers != {server.pid}
    assert server.visit_every_worker(pid_from) == set(server.workers())


def test_preload_and_hup_load_new_code(serve: Launcher) -> None:
    """HUP loads the code anew also with ``--preload``."""
    files = {"changing.py": "from hello import application\n"}
    server = serve("--preload", "changing", workers=2, files=files)
    old = server.workers()
    before = server.get("/").text
    mark = server.log.mark()
    (server.folder / "changing.py").write_text('from hello import greet\n\napplication = greet("new code")\n')
    server.signal(signal.SIGHUP)
    server.wait_for_workers(2, since=mark)
    wait_for_exit(old)

    assert before == "Hello, world!\n"
    assert server.get("/").text == "Hello, new code!\n"


def test_inline(serve: Launcher) -> None:
    """``--workers 0`` serves in the command's own process, and TERM ends it with 0."""
    server = serve("tells_pid:app", workers=0)

    assert int(server.get("/").text) == server.pid
    server.stop()


def test_inline_shuts_the_door_first(serve: Launcher, gate: Gate, tmp_path: Path) -> None:
    """Once it is told to stop nobody new comes to wait: what it closed in the end would be reset."""
    door = tmp_path / "door"
    server = serve("holds_at_gate:app", workers=0, bind=f"unix:{door}", variables={"GATE": str(gate.path)})
    with server.connect() as connection, server.connect() as waiting:
        connection.send(HELD)
        server.wait_for_log("held at the gate")
        waiting.send(HELD)
        server.signal(signal.SIGTERM)
        assert look_until(lambda: not door.exists())
        gate.open("..")
        replies = [connection.read_response().status, waiting.read_response().status]
    server.wait_for_end(0)

    assert replies == [200, 200]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTTIN, signal.SIGUSR2])
def test_inline_says_what_it_cannot_do(serve: Launcher, number: signal.Signals) -> None:
    """Without workers the signals about workers log one line, and serving goes on."""
    server = serve("tells_pid:app", workers=0)
    mark = server.log.mark()
    server.signal(number)
    server.wait_for_log("(?i)worker|inline", since=mark)

    assert int(server.get("/").text) == server.pid
    assert len(server.log.lines[mark:]) == 1


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["plain", "preload"])
def test_workers_follow_a_killed_arbiter(serve: Launcher, preload: list[str]) -> None:
    """Half a second after the arbiter was killed no worker is left, not even one that is stuck in C code."""
    server = serve(*preload, "stuck_in_c:app", workers=2)
    children = set(processes_of_group(server.pid)) - {server.pid}
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        server.wait_for_log("stuck in C now")
        server.signal(signal.SIGKILL)
        wait_for_exit(children, timeout=0.5)
    server.wait_for_end(-signal.SIGKILL)

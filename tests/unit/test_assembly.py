"""Settings, plugins and a protocol become an arbiter, and the arbiter serves."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import workerkit
from workerkit import assembly
from workerkit.arbiter.base import Arbiter
from workerkit.arbiter.inline import InlineArbiter
from workerkit.arbiter.prefork import PreforkArbiter
from workerkit.config.schema import Schema
from workerkit.config.settings import Settings
from workerkit.errors import AppLoadError, BootError, ConfigError, PluginError, WorkerkitError
from workerkit.net.protocol import Connection, Job, Next, Protocol
from workerkit.net.stream import Stream
from workerkit.process.cpus import usable_cpus
from workerkit.protocols.http1 import Http1
from workerkit.protocols.http1.guards import WatchedGateway

pytestmark = pytest.mark.usefixtures("home")

ANY_PORT = "127.0.0.1:0"


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    told = {name: environ[name] for name in ("wsgi.multiprocess", "wsgi.multithread", "workerkit.worker_class")}
    return [f"{os.environ.get('LIFESPAN', 'none')} {told}".encode()]


class Shout(Connection):
    """Repeats what it hears, in upper case, and leaves."""

    __slots__ = ("heard",)

    def advance(self, now: float) -> Next:
        heard = self.stream.recv(1000)
        if heard is None:
            return Next.IDLE
        self.heard = heard
        return Next.RUN if heard else Next.CLOSE

    def take(self) -> Job:
        return lambda: self.stream.send((self.heard.upper(),))


class Shouting(Protocol):
    """Somebody's own protocol."""

    def connect(self, stream: Stream) -> Connection:
        return Shout(stream)


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    """A module of the user's, in the folder that this process stands in."""
    name = "workerkit_test_shop"
    (tmp_path / f"{name}.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'from a module']\n"
        "def make(word):\n"
        "    return app\n"
        "number = 42\n"
    )
    yield name
    sys.modules.pop(name, None)


class _Callback(logging.Handler):
    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self._then = then

    def emit(self, record: logging.LogRecord) -> None:
        if "Worker ready" in record.getMessage():
            self._then()


def talk_to(arbiter: Arbiter, talk: Callable[[tuple[str, int]], object]) -> None:
    """Run an arbiter in this process, call ``talk`` with its address once a worker is ready, and stop it."""
    failures: list[BaseException] = []

    def once_ready() -> None:
        try:
            [listener] = arbiter.listeners["default"]
            talk(listener.socket.getsockname())
        except BaseException as error:  # noqa: BLE001  raised again below, when the workers are gone
            failures.append(error)
        arbiter.stop()

    handler = _Callback(once_ready)
    arbiter.log.addHandler(handler)
    try:
        assert arbiter.run() == 0
    finally:
        arbiter.log.removeHandler(handler)
    for failure in failures:
        raise failure


def fetch(address: tuple[str, int]) -> bytes:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("GET", "/")
    body = connection.getresponse().read()
    connection.close()
    return body


# -- which arbiter, which worker --


def test_the_number_of_workers_chooses_the_arbiter() -> None:
    """prefork keeps workers, inline serves without; either can be asked for by name."""
    assert isinstance(workerkit.create_arbiter(hello, bind=ANY_PORT), PreforkArbiter)
    inline = workerkit.create_arbiter(hello, bind=ANY_PORT, workers=0)
    assert isinstance(inline, InlineArbiter)
    inline.stop()
    inline.run()
    assert isinstance(workerkit.create_arbiter(hello, bind=ANY_PORT, arbiter="prefork"), PreforkArbiter)


@pytest.mark.parametrize(
    ("settings", "error", "named"),
    [
        ({"worker_class": "snyc"}, PluginError, "sync"),
        ({"wrokers": 2}, ConfigError, "workers"),
        ({"workers": 513}, ConfigError, "512"),
        ({"workers": "many"}, ConfigError, "workers"),
        ({"arbiter": "prefrok"}, PluginError, "prefork"),
        ({"chdir": "/no/such/folder"}, ConfigError, "/no/such/folder"),
        ({"errorlog": "/no/such/folder/error.log"}, ConfigError, "error.log"),
        ({"loglevel": "loud"}, ConfigError, "loglevel"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(
    settings: dict[str, Any], error: type[WorkerkitError], named: str
) -> None:
    """Before anything is opened, a wrong name or value is named, with the nearest right one."""
    with pytest.raises(error, match=named):
        workerkit.create_arbiter(hello, **settings)


def test_something_must_be_served() -> None:
    """Neither an application nor its name is an error."""
    with pytest.raises(ConfigError, match="nothing to serve"):
        workerkit.create_arbiter()


def test_auto_is_a_worker_for_each_processor() -> None:
    """``auto`` counts the processors that this process may use."""
    pool = workerkit.create_arbiter(hello, workers="auto").pools["default"]

    assert pool.workers == usable_cpus()


def test_a_range_of_workers_begins_with_the_fewest() -> None:
    """``2..4`` is the number 2 to whoever wants one, and the arbiter knows both bounds."""
    pool = workerkit.create_arbiter(hello, workers="2..4").pools["default"]

    assert (pool.workers, pool.most_workers) == (2, 4)
    assert workerkit.create_arbiter(hello, workers="3..3").pools["default"].most_workers is None


@pytest.mark.parametrize(("workers", "watched"), [("2..4", True), ("4", False)])
def test_a_range_of_workers_watches_how_long_requests_wait(workers: str, watched: bool) -> None:
    """Nobody else pays for that."""
    pool = workerkit.create_arbiter(hello, workers=workers).pools["default"]
    assert pool.serve is not None

    assert isinstance(pool.serve().gateway, WatchedGateway) == watched  # type: ignore[attr-defined]  # it is Http1


@pytest.mark.parametrize("text", ["4..2", "0..2", "2..513", "2..", "..3", "2..3..4", "-1..2"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    """The message says what a range looks like."""
    with pytest.raises(ConfigError, match=r"a range such as 2\.\.8"):
        workerkit.create_arbiter(hello, workers=text)


def test_settings_reach_their_readers() -> None:
    """Each part gets its own options, with what was set and the defaults of the rest."""
    arbiter = workerkit.create_arbiter(
        hello, workers=3, timeout=7.0, bind=["127.0.0.1:0", "unix:x.sock"], graceful_timeout=5.0, worker_connections=9
    )
    pool = arbiter.pools["default"]

    assert (pool.workers, pool.worker_options.timeout, pool.worker_options.max_requests) == (3, 7.0, 0)
    assert pool.listen is not None
    assert pool.listen.bind == ("127.0.0.1:0", "unix:x.sock")
    assert arbiter.options.graceful_timeout == 5.0
    assert getattr(pool.class_options, "worker_connections") == 9  # noqa: B009  of the worker's own Options
    assert not arbiter.signals


def test_an_embedded_server_reads_no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for a command in the environment does not reach a library."""
    for name, value in {"WEB_CONCURRENCY": "9", "PORT": "1", "WORKERKIT_TIMEOUT": "1"}.items():
        monkeypatch.setenv(name, value)
    pool = workerkit.create_arbiter(hello).pools["default"]

    assert pool.listen is not None
    assert (pool.workers, pool.listen.bind, pool.worker_options.timeout) == (1, ("127.0.0.1:8000",), 30.0)


@pytest.mark.parametrize(
    ("name", "section"),
    [("sync", "sync"), ("workerkit-trio#trio", "trio"), ("module:Trio", "Trio"), ("package.module.Trio", "Trio")],
)
def test_a_plugins_table_is_called_like_the_plugin(name: str, section: str) -> None:
    """However a class is named, its own settings stand in the table of its last name."""
    assert assembly.section_of(name) == section


# -- what is served --


def test_what_is_served_is_loaded_once() -> None:
    """The factory that a pool is handed makes one protocol in a process, and not before it is called."""
    serve = workerkit.create_arbiter(hello).pools["default"].serve
    assert serve is not None

    assert isinstance(serve(), Http1)
    assert serve() is serve()


def test_a_protocol_is_served_as_it_is() -> None:
    """Somebody's own protocol needs no application around it."""
    protocol = Shouting()
    serve = workerkit.create_arbiter(protocol).pools["default"].serve

    assert serve is not None
    assert serve() is protocol


def test_an_application_is_named_by_its_reference(module: str) -> None:
    """A string is a reference, loaded in the worker and not before."""
    serve = workerkit.create_arbiter(f"{module}:app", chdir=".").pools["default"].serve
    assert serve is not None
    assert module not in sys.modules

    assert isinstance(serve(), Http1)
    assert module in sys.modules


def test_modules_are_found_where_the_settings_say(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--chdir and --pythonpath make modules findable, the first folder first."""
    monkeypatch.chdir("/")
    workerkit.create_arbiter(f"{module}:app", pythonpath=f"{tmp_path},/nowhere")
    assert sys.path[:2] == [str(tmp_path), "/nowhere"]

    workerkit.create_arbiter(f"{module}:app", chdir=str(tmp_path))
    assert os.getcwd() == sys.path[0] == str(tmp_path)


def test_what_is_no_application_is_refused() -> None:
    """Something that cannot be called is named when the worker boots."""
    with pytest.raises(WorkerkitError, match="cannot serve 42"):
        workerkit.run(42, bind=ANY_PORT, workers=1)


# -- check --


def gathered(**values: object) -> Settings:
    schema = Schema.of(*assembly.CORE_OPTIONS).extend(assembly.worker_class("sync").Options, section="sync")
    return Settings.gather(schema, overrides=values)


def test_check_loads_everything_and_serves_nothing(module: str) -> None:
    """What --check-config prints names the application and who would serve it."""
    told = assembly.check(gathered(wsgi_app=f"{module}:make('word')", chdir=".", workers=2, bind="192.0.2.1:1"))

    assert told == f"OK: {module}:make('word') can be served by 2 sync worker(s)"


def test_check_says_what_is_wrong(module: str) -> None:
    """An application that cannot be served is refused as it would be at start."""
    with pytest.raises(AppLoadError, match=r"42|callable"):
        assembly.check(gathered(wsgi_app=f"{module}:number", chdir="."))


# -- serving --


def test_an_embedded_application_answers() -> None:
    """create_arbiter and run are all that an embedder needs; the environ tells how it is served."""
    answers: list[bytes] = []
    talk_to(workerkit.create_arbiter(hello, bind=ANY_PORT), lambda address: answers.append(fetch(address)))

    assert answers == [
        b"none {'wsgi.multiprocess': False, 'wsgi.multithread': False, 'workerkit.worker_class': 'sync'}"
    ]


def test_several_workers_are_several_processes() -> None:
    """wsgi.multiprocess is true as soon as another process may serve the same application."""
    answers: list[bytes] = []
    arbiter = workerkit.create_arbiter(hello, bind=ANY_PORT, workers=2)
    talk_to(arbiter, lambda address: answers.append(fetch(address)))

    assert b"'wsgi.multiprocess': True" in answers[0]


def test_a_preloaded_application_answers(module: str) -> None:
    """With preload_app the application is loaded in a mold, and served by a process that was forked from it."""
    answers: list[bytes] = []
    arbiter = workerkit.create_arbiter(f"{module}:app", bind=ANY_PORT, preload_app=True, chdir=".")
    talk_to(arbiter, lambda address: answers.append(fetch(address)))

    assert answers == [b"from a module"]
    assert module not in sys.modules


def test_a_lifespan_is_entered_in_the_worker() -> None:
    """What a lifespan opens is there when the first request comes, and only in the worker's process."""

    @contextlib.contextmanager
    def lifespan() -> Iterator[None]:
        os.environ["LIFESPAN"] = "entered"
        yield

    answers: list[bytes] = []
    arbiter = workerkit.create_arbiter(hello, bind=ANY_PORT, lifespan=lifespan)
    talk_to(arbiter, lambda address: answers.append(fetch(address)))

    assert answers[0].startswith(b"entered ")
    assert "LIFESPAN" not in os.environ


def test_a_protocol_of_ones_own_is_served() -> None:
    """A class of a dozen lines is a server with workers, reloads and all."""

    def shout(address: tuple[str, int]) -> None:
        with socket.create_connection(address, 10.0) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"HELLO"

    talk_to(workerkit.create_arbiter(Shouting(), bind=ANY_PORT), shout)


def test_an_application_that_cannot_be_loaded_is_raised_by_run(module: str) -> None:
    """run() raises what the worker said, with the user's frames and the exit code."""
    with pytest.raises(BootError, match="no_such") as failed:
        workerkit.run(f"{module}:no_such", bind=ANY_PORT, chdir=".")

    assert failed.value.exit_code == 4


def test_hooks_are_keyword_arguments() -> None:
    """Their server and worker have the settings, by every name; a reader of one that there is not is told so."""
    seen: list[Any] = []

    def on_starting(server: Any) -> None:
        seen.append((server.cfg.bind, server.cfg.keep_alive, server.num_workers, "timeout" in dir(server.cfg)))
        with pytest.raises(AttributeError, match="there is no setting 'paste'"):
            _ = server.cfg.paste

    arbiter = workerkit.create_arbiter(hello, bind=ANY_PORT, on_starting=on_starting, post_fork=post_fork)
    answers: list[bytes] = []
    talk_to(arbiter, lambda address: answers.append(fetch(address)))

    assert seen == [((ANY_PORT,), 5.0, 1, True)]
    assert answers[0].startswith(b"forked ")


def post_fork(server: Any, worker: Any) -> None:
    os.environ["LIFESPAN"] = "forked"


def test_variables_for_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are set before anything is loaded; what is no variable is refused."""
    monkeypatch.delenv("SHOP", raising=False)
    workerkit.create_arbiter(hello, bind=ANY_PORT, raw_env=["SHOP=open=yes, always"])

    assert os.environ.pop("SHOP") == "open=yes, always"
    with pytest.raises(ConfigError, match="raw_env: expected NAME=VALUE, got 'SHOP'"):
        workerkit.create_arbiter(hello, env=["SHOP"])


def test_a_program_does_not_become_a_daemon() -> None:
    """Only the command may leave its terminal: a library does not fork its caller."""
    with pytest.raises(ConfigError, match="daemon: only the command"):
        workerkit.create_arbiter(hello, daemon=True)

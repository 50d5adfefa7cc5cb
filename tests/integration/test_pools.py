"""Several pools under one arbiter: one command, one configuration file, worker classes of several kinds."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
from harness import EXAMPLES, Launcher, Server, run_to_completion, wait_for_exit
from workers import classes_for

POOLS = """
loglevel = "debug"

[pools.web]
serve = "hello"
workers = 2
bind = "unix:web.sock"

[pools.cache]
protocol = "key_value:KeyValue"
worker_class = "{cache}"
bind = "unix:cache.sock"

[pools.talk]
serve = "echo:echo"
protocol = "dialogue"
worker_class = "{talk}"
bind = "unix:talk.sock"
{preload}

[pools.jobs]
worker_class = "queue_consumer:Consumer"
claim = 5
"""

# Runs the example as a person would, but for its port.
ANY_PORT = """
import runpy, sys, workerkit
run = workerkit.run
def run_anywhere(*, pools, **settings):
    pools["web"]["bind"] = "127.0.0.1:0"
    return run(pools=pools, **settings)
workerkit.run = run_anywhere
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture(params=classes_for("dialogue"))
def server(request: pytest.FixtureRequest, serve: Launcher) -> Server:
    """Four pools; the class that is tested holds the dialogues, and the one after it in the alphabet the cache."""
    calls = classes_for("call")
    cache = calls[(calls.index(request.param) + 1) % len(calls)]
    text = POOLS.format(cache=cache, talk=request.param, preload="preload_app = true")
    apps = Path(__file__).parent / "apps"
    return serve(
        "-c", "pools.toml", bind=None, workers=None, ready=5, files={"pools.toml": text}, path=(EXAMPLES, apps)
    )


def address(server: Server, pool: str) -> str:
    return f"unix:{server.folder / pool}.sock"


def test_each_pool_does_its_work(server: Server) -> None:
    """Four pools of three kinds or more start without an application on the command line, serve, and leave together."""
    server.wait_for_addresses(3)
    with server.connect(address(server, "web")) as web:
        assert web.get("/").status == 200
    with server.connect(address(server, "cache")) as cache:
        cache.send(b"SET name Ada\r\nGET name\r\n")
        assert [cache.read_line() for _ in range(3)] == [b"+OK\r\n", b"$3\r\n", b"Ada\r\n"]
    with server.connect(address(server, "talk")) as talk:
        talk.send(b"hello\n")
        assert talk.read_line() == b"hello\n"
        server.stop()
        assert talk.at_end()


def test_a_death_is_the_affair_of_its_pool(server: Server) -> None:
    """Who is killed is replaced by a worker of the same pool; a dialogue of another pool goes on."""
    with server.connect(address(server, "talk")) as talk:
        talk.send(b"before\n")
        assert talk.read_line() == b"before\n"
        with server.connect(address(server, "cache")) as cache:
            cache.send(b"PING\r\n")
            assert cache.read_line() == b"+PONG\r\n"
            [victim] = workers_of(server, "cache")
            before = set(server.workers())
            since = server.log.mark()
            os.kill(victim, signal.SIGKILL)
            assert cache.at_end()
        wait_for_exit([victim])
        [successor] = workers_of(server, "cache", since=since)
        assert set(server.workers()) == before - {victim} | {successor}
        talk.send(b"after\n")
        assert talk.read_line() == b"after\n"


def workers_of(server: Server, pool: str, since: int = 0) -> list[int]:
    ready = rf"Worker ready \(pid: (\d+), slot: \d+\) in the pool {pool}$"
    return [int(match[1]) for match in server.wait_for_log(ready, since=since)]


def test_a_reload_replaces_every_pool(server: Server) -> None:
    """HUP reaches all pools, the preloaded one too."""
    before = set(server.workers())
    since = server.log.mark()
    server.signal(signal.SIGHUP)
    new = server.wait_for_workers(5, since=since)
    wait_for_exit(before)

    assert set(server.workers()) == set(new)
    for pool in ("web", "cache", "talk", "jobs"):
        assert set(workers_of(server, pool, since=since)) <= set(new)


def test_a_task_that_comes_by_the_web(serve: Launcher) -> None:
    """examples/two_pools.py: one pool accepts tasks, the other runs them."""
    program = [sys.executable, "-c", ANY_PORT, str(EXAMPLES / "two_pools.py")]
    server: Server = serve(program=program, bind=None, workers=None, ready=3)
    server.wait_for_workers(3)

    with server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\necho from $0 >&2;")
        assert client.read_response().body == b"It will be done.\n"
    server.wait_for_log("^from /bin/sh$")
    server.stop()
    table = sqlite3.connect(server.folder / "tasks.sqlite")
    assert table.execute("SELECT count(*) FROM tasks").fetchall() == [(0,)]
    table.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[pools.web]\nbind = ':0'", "pool web: nothing to serve: name an application, as in `workerkit MODULE:APP`"),
        (
            "[pools.a]\nserve = 'hello:app'\n[pools.b]\nserve = 'hello:app'",
            "the pools a and b both listen at 127.0.0.1:8000; give each its own bind",
        ),
        ("[pools.web]\nbnid = ':0'", "pools.toml [pools.web]: unknown key 'bnid'; did you mean 'bind'?"),
    ],
)
def test_a_file_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    """The command ends at once with one line that names the pool."""
    (tmp_path / "pools.toml").write_text(text)
    done = run_to_completion("-c", "pools.toml", folder=tmp_path)

    assert done.err == [f"workerkit: error: {message}"]
    assert done.code in (1, 2)


@pytest.mark.parametrize("preload", ["", "preload_app = true"])
@pytest.mark.parametrize("check", [(), ("--check-config",)])
def test_an_application_that_cannot_be_loaded(check: tuple[str, ...], preload: str, tmp_path: Path) -> None:
    """The message says in which of the pools it is, and the user's own frames come before it, as for a single pool."""
    (tmp_path / "pools.toml").write_text(
        f"loglevel = 'error'\n[pools.web]\nserve = 'hello'\nbind = 'unix:web.sock'\n"
        f"[pools.talk]\nserve = 'fails_on_import'\nbind = 'unix:talk.sock'\n{preload}"
    )
    done = run_to_completion("-c", "pools.toml", *check, folder=tmp_path)
    *frames, message = done.err

    assert message.startswith("workerkit: error: pool talk: ")
    assert "NameError: name 'undefined_database' is not defined" in message
    assert "fails_on_import.py" in "".join(frames)
    assert done.code == 3


def test_a_reload_that_one_pool_gives_up(serve: Launcher) -> None:
    """New code that does not boot is told with its pool; all pools go on with what they had."""
    pools = "[pools.web]\nserve = 'web'\nbind = 'unix:web.sock'\n[pools.talk]\nserve = 'talk'\nbind = 'unix:talk.sock'"
    hello = "from hello import application\n"
    files = {"pools.toml": pools, "web.py": hello, "talk.py": hello}
    server: Server = serve("-c", "pools.toml", bind=None, workers=None, ready=2, files=files)
    (server.folder / "talk.py").write_text("import fails_on_import\n")
    since = server.log.mark()
    server.signal(signal.SIGHUP)

    server.wait_for_log(r"Worker 0 of talk \(pid: \d+\) could not boot: .*undefined_database", since=since)
    server.wait_for_log("Reload given up in the pool talk: the new workers do not boot", since=since)
    for name in ("web", "talk"):
        with server.connect(f"unix:{server.folder / name}.sock") as connection:
            assert connection.get("/").status == 200

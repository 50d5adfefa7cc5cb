"""Servers that speak no HTTP, ours from examples/, on every worker class that can run them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import DEADLINE, EXAMPLES, Finished, Launcher, RawConnection, Server, run_to_completion
from workers import classes_for

DIALOGUES = classes_for("dialogue")
CALLS = classes_for("call")

# Runs an example as a person would, but for its port.
ANY_PORT = """
import runpy, sys, workerkit
run = workerkit.run
workerkit.run = lambda *served, **settings: run(*served, **{**settings, "bind": "127.0.0.1:0"})
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def start(serve: Launcher, *arguments: str, **named: object) -> Server:
    server: Server = serve(*arguments, path=(EXAMPLES,), **named)
    assert server.url.startswith("tcp://")
    return server


def command(*words: bytes) -> bytes:
    """Return a command as Redis clients send it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def call(connection: RawConnection, *words: object) -> dict[str, object]:
    """Call a remote method and return what came back."""
    data = json.dumps(words).encode()
    connection.send(len(data).to_bytes(4) + data)
    answer: dict[str, object] = json.loads(connection.read(int.from_bytes(connection.read(4))))
    return answer


def test_there_is_something_to_test() -> None:
    """The classes of the core are among those that the rest of this page is about."""
    assert "threaded" in DIALOGUES
    assert {"sync", "threaded"} <= set(CALLS)


# -- an echo server: a dialogue --


@pytest.fixture(params=DIALOGUES)
def echo(request: pytest.FixtureRequest, serve: Launcher) -> Server:
    return start(serve, "echo:echo", "--protocol", "dialogue", "--worker-class", request.param)


def test_echo(echo: Server) -> None:
    """Several clients talk at the same time, line by line, and each ends when it likes."""
    with echo.connect() as one, echo.connect() as two:
        for word in (b"hello\n", b"again\n"):
            one.send(word)
            two.send(word.upper())
            assert (one.read_line(), two.read_line()) == (word, word.upper())
        one.send(b"the last line lacks its end")
        one.shut_write()
        assert one.read() == b"the last line lacks its end"
        two.send(b"still here\n")
        assert two.read_line() == b"still here\n"


def test_echo_is_drained(echo: Server) -> None:
    """A client that says nothing when the server leaves sees its end, and the server waits for nobody else."""
    with echo.connect() as client:
        client.send(b"hello\n")
        assert client.read_line() == b"hello\n"
        echo.stop()
        assert client.at_end()


def test_echo_refuses_lines_without_end(echo: Server) -> None:
    """A client that breaks the limit is closed, with one line in the log and no traceback."""
    with echo.connect() as client:
        client.send(b"x" * (64 * 1024 + 1))
        echo.wait_for_log("Closed the dialogue with 127.0.0.1: a line is longer than 65536 bytes")


@pytest.mark.parametrize("words", [["echo:echo"], ["echo:echo", "--protocol", "dialogue"]])
def test_a_dialogue_on_sync_is_refused(words: list[str], tmp_path: Path) -> None:
    """The command ends at start and names the classes that fit."""
    done: Finished = run_to_completion(*words, "--bind", "127.0.0.1:0", folder=tmp_path, path=(EXAMPLES,))

    [line] = done.err
    assert done.code == 1
    assert line.startswith(
        "workerkit: error: the sync worker cannot run dialogues (plain functions over a stream), such as echo:echo; "
        "choose --worker-class eventlet, gevent"
    )


# -- a key-value server: messages --


@pytest.fixture(params=CALLS)
def key_value(request: pytest.FixtureRequest, serve: Launcher) -> Server:
    return start(serve, "--protocol", "key_value:KeyValue", "--worker-class", request.param)


def test_pipelining(key_value: Server) -> None:
    """Commands that arrive together, or in pieces, are answered in order."""
    sent = [command(b"SET", b"n", b"9"), *[command(b"INCR", b"n")] * 500, command(b"get", b"n"), command(b"PING")]
    data = b"".join(sent)
    with key_value.connect() as client:
        for start_at in range(0, len(data), 1000):
            client.send(data[start_at : start_at + 1000])
        answer = b"+OK\r\n" + b"".join(b":%d\r\n" % number for number in range(10, 510)) + b"$3\r\n509\r\n+PONG\r\n"
        assert client.read(len(answer)) == answer


def test_binary_values(key_value: Server) -> None:
    """A value may hold anything, and be larger than one piece from the network."""
    value = b"\r\n$1\r\n" + os.urandom(300_000)
    with key_value.connect() as client:
        client.send(command(b"SET", b"it", value) + command(b"GET", b"it"))
        answer = b"+OK\r\n$%d\r\n%b\r\n" % (len(value), value)
        assert client.read(len(answer)) == answer


def test_nonsense(key_value: Server) -> None:
    """What is no command is told so, and the connection ends; a command that is not known is answered."""
    with key_value.connect() as client:
        client.send(command(b"HELLO", b"3") + b"*one\r\n")
        assert client.read() == b"-ERR this command is not known, or not like this\r\n-ERR Protocol error\r\n"
    key_value.wait_for_log("Closed the connection with 127.0.0.1: expected the size of an array or a string")


def test_many_idle_connections(key_value: Server) -> None:
    """Connections that say nothing hold nobody up, on any class."""
    idle = [key_value.connect() for _ in range(50)]
    with key_value.connect() as client:
        client.send(command(b"PING"))
        assert client.read_line() == b"+PONG\r\n"
    for connection in idle:
        connection.send(command(b"PING"))
    assert [connection.read_line() for connection in idle] == [b"+PONG\r\n"] * 50
    for connection in idle:
        connection.close()


def test_key_value_is_drained(key_value: Server) -> None:
    """A command that has begun when the server leaves is answered; an idle client is closed."""
    with key_value.connect() as idle, key_value.connect() as busy:
        idle.send(command(b"PING"))
        assert idle.read_line() == b"+PONG\r\n"
        busy.send(command(b"PING") + b"*1\r\n$4\r\nPI")
        assert busy.read_line() == b"+PONG\r\n"
        key_value.signal(15)  # type: ignore[arg-type]  # a number is a signal too
        key_value.wait_for_log("Stopping gracefully")
        assert idle.at_end()
        busy.send(b"NG\r\n")
        assert busy.read() == b"+PONG\r\n"
        key_value.wait_for_end(0)


@pytest.mark.program("redis-cli")
def test_redis_cli(key_value: Server) -> None:
    """The real redis-cli gets what it asks for."""
    asked = (
        "ping\nset name Ada\nget name\nincr n\nincr n\nexpire n 100\nexpire m 100\ndel name n m\nget name\nhello 3\n"
    )
    done = subprocess.run(
        ["redis-cli", "-p", str(key_value.port)],
        input=asked,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )

    assert done.stdout.split("\n")[:9] == ["PONG", "OK", "Ada", "1", "2", "1", "0", "2", ""]
    assert "not known" in done.stdout


@pytest.mark.program("redis-benchmark")
def test_redis_benchmark(key_value: Server) -> None:
    """The real redis-benchmark, 20 connections with 8 commands at a time, meets no error."""
    done = subprocess.run(
        [
            "redis-benchmark",
            "-p",
            str(key_value.port),
            *["-t", "ping,set,get,incr", "-n", "2000", "-c", "20", "-P", "8", "--csv"],
        ],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    tests = [line.split(",")[0] for line in done.stdout.splitlines()[1:]]

    assert tests == ['"PING_INLINE"', '"PING_MBULK"', '"SET"', '"GET"', '"INCR"']
    assert "rror" not in done.stdout + done.stderr.replace("WARNING: Could not fetch server CONFIG", "")


def test_redis_py(key_value: Server) -> None:
    """The real redis-py talks to it, pipelines and expiry included."""
    redis = pytest.importorskip("redis")
    with redis.Redis(port=key_value.port, socket_timeout=DEADLINE, protocol=2) as client:
        assert client.ping()
        assert client.set("name", "Ada")
        assert client.get("name") == b"Ada"
        assert client.delete("name", "none") == 1
        assert client.get("name") is None
        assert client.pipeline(transaction=False).incr("n").incr("n").expire("n", 100).execute() == [1, 2, True]
        with pytest.raises(redis.ResponseError, match="not known"):
            client.lpush("list", 1)


def test_values_expire(key_value: Server) -> None:
    """A value whose time is over is gone, and counts anew."""
    with key_value.connect() as client:
        client.send(command(b"SET", b"n", b"5") + command(b"EXPIRE", b"n", b"0") + command(b"INCR", b"n"))
        assert [client.read_line() for _ in range(3)] == [b"+OK\r\n", b":1\r\n", b":1\r\n"]


# -- remote calls: messages --


@pytest.fixture(params=CALLS)
def rpc(request: pytest.FixtureRequest, serve: Launcher) -> Server:
    return start(serve, "rpc:Rpc", "--protocol", "rpc:Rpc", "--worker-class", request.param, workers=2)


def test_rpc(rpc: Server) -> None:
    """Calls are answered, mistakes in them too, and a call past the limit ends the connection."""
    with rpc.connect() as client:
        assert call(client, "add", 1, 2, 3) == {"result": 6}
        assert call(client, "upper", "ada") == {"result": "ADA"}
        assert call(client, "lower", "ADA") == {"error": "KeyError: 'lower'"}
        assert call(client, "add", 1, "2")["error"] == "TypeError: unsupported operand type(s) for +: 'int' and 'str'"
        client.send((1 << 30).to_bytes(4))
        assert client.at_end()


# -- run by themselves --


@pytest.fixture(params=["echo.py", "key_value.py", "rpc.py"])
def example(request: pytest.FixtureRequest, serve: Launcher) -> tuple[str, Server]:
    path = EXAMPLES / request.param
    workers = 1 if request.param == "key_value.py" else 2
    program = [sys.executable, "-c", ANY_PORT, str(path)]
    return request.param, start(serve, program=program, bind=None, workers=None, ready=workers)


def test_each_example_runs_by_itself(example: tuple[str, Server]) -> None:
    """``python examples/NAME.py`` is a server, which a signal ends."""
    name, server = example
    greeting = {
        "echo.py": (b"hello\n", b"hello\n"),
        "key_value.py": (command(b"PING"), b"+PONG\r\n"),
        "rpc.py": (b'\0\0\0\x0c["add",1,20]', b'\0\0\0\x0e{"result": 21}'),
    }[name]
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        client.sendall(greeting[0])
        assert client.recv(100) == greeting[1]
    server.stop()
    assert len((EXAMPLES / name).read_text().splitlines()) <= 40

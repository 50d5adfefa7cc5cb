"""Responses on an HTTP/1.1 connection, as a WSGI application gives them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from http1_peer import (
    MEGABYTE,
    START,
    Connect,
    Environ,
    StartResponse,
    Watched,
    count_files,
    get,
    parts,
    post,
    replies,
)

from workerkit.net.poller import READ, WRITE
from workerkit.net.protocol import Next
from workerkit.wsgi.gateway import Application

# -- a request and its response --


def test_a_request_is_answered(connect: Connect) -> None:
    """The response has the application's status, fields and body, and the length that we know."""
    [reply] = connect().ask(get())

    assert (reply.status, reply.reason, reply.version, reply.body) == (200, "OK", 11, b"hello")
    assert reply.headers["content-length"] == "5"
    assert reply.headers["content-type"] == "text/plain"


def test_date_and_server_are_ours(connect: Connect) -> None:
    """Every response says when and by what it was made, refusals too."""
    peer = connect()
    for reply in (*peer.ask(get()), *peer.ask(b"nonsense\r\n\r\n")):
        assert reply.headers["server"] == "workerkit"
        assert reply.headers["date"].endswith(" GMT")


def test_the_server_field_can_be_another_or_none(connect: Connect) -> None:
    """An operator decides what the Server field says."""
    assert connect(server_header="shop").ask(get())[0].headers["server"] == "shop"
    assert "server" not in connect(server_header="").ask(get())[0].headers


def test_the_applications_date_and_server_win(connect: Connect) -> None:
    """A field that the application sets itself is not sent twice."""
    application = parts(b"x", Date="Thu, 01 Jan 1970 00:00:00 GMT", Server="mine")
    [reply] = connect(application).ask(get())

    assert (reply.headers["date"], reply.headers["server"]) == ("Thu, 01 Jan 1970 00:00:00 GMT", "mine")


def test_a_head_may_come_byte_by_byte(connect: Connect) -> None:
    """A request that drips is read as it comes, and its connection waits without being called busy."""
    peer = connect()
    assert peer.drive() is Next.IDLE
    for byte in get():
        assert not peer.receive()
        peer.send(bytes([byte]))
        peer.drive()

    assert [reply.body for reply in replies(peer.receive())] == [b"hello"]
    assert set(peer.steps) == {Next.IDLE, Next.READ, Next.RUN}


def test_a_body_of_unknown_length_is_chunked(connect: Connect) -> None:
    """Without a length each part leaves as a chunk, and the connection goes on."""
    peer = connect(parts(b"ab", b"", b"cde"))
    peer.send(get())
    data = peer.drive_and_receive()

    assert b"transfer-encoding: chunked\r\n" in data.lower()
    assert data.endswith(b"\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
    assert not peer.closed


def test_an_empty_iterable_has_a_length_of_0(connect: Connect) -> None:
    """A body without a part needs no chunk."""
    [reply] = connect(parts()).ask(get())

    assert (reply.headers["content-length"], reply.body) == ("0", b"")


def test_a_client_of_http_1_0_sees_the_end_of_the_connection(connect: Connect) -> None:
    """HTTP/1.0 knows no chunks: a body of unknown length ends with its connection."""
    peer = connect(parts(b"ab", b"cde"))
    [reply] = peer.ask(get("/", "Connection: keep-alive", version="1.0"))

    assert reply.body == b"abcde"
    assert not {"transfer-encoding", "content-length"} & reply.headers.keys()
    assert peer.at_end


@pytest.mark.parametrize("length", [16_383, 16_384, 100_000])
def test_large_parts_arrive_as_they_are(connect: Connect, length: int) -> None:
    """Whether a part is joined to its head or sent beside it makes no difference to the client."""
    data = os.urandom(length)

    assert connect(parts(data)).ask(get())[0].body == data
    assert connect(parts(data, Content_Length=str(length))).ask(get())[0].body == data
    assert connect(lambda _environ, start: (start("200 OK", []), [data])[1]).ask(get())[0].body == data


# -- responses without a body --


def test_head_has_the_head_only(connect: Connect) -> None:
    """HEAD is answered with the head that GET would have, and no body whatever the application gives."""
    peer = connect()
    [reply] = peer.ask(get(method="HEAD"))

    assert (reply.headers["content-length"], reply.body) == ("5", b"")
    assert not peer.closed
    assert [reply.body for reply in peer.ask(get())] == [b"hello"]


def test_a_chunked_answer_to_head_ends_with_its_head(connect: Connect) -> None:
    """No chunk is sent in answer to HEAD, not even the last."""
    peer = connect(parts(b"ab", b"cd"))
    peer.send(get(method="HEAD"))

    assert peer.drive_and_receive().endswith(b"\r\n\r\n")
    assert [reply.body for reply in peer.ask(get())] == [b"abcd"]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_some_statuses_have_no_body(connect: Connect, status: str) -> None:
    """A body that an application gives to 204 or 304 is not sent, and the next response is not disturbed."""

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response(status if environ["PATH_INFO"] == "/none" else "200 OK", [])
        return [b"body"]

    peer = connect(application)
    peer.send(get("/none"))
    data = peer.drive_and_receive()

    assert data.endswith(b"\r\n\r\n")
    assert b"content-length" not in data.lower()
    assert b"transfer-encoding" not in data.lower()
    assert [reply.body for reply in peer.ask(get())] == [b"body"]


# -- start_response and write() --


def test_write_sends_at_once(connect: Connect) -> None:
    """The older of WSGI's two ways: what is written leaves before what is returned."""
    seen: list[bytes] = []

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        seen.append(peer.receive())
        write(b"two ")
        return [b"three"]

    peer = connect(application)
    peer.send(get())
    peer.drive()

    assert seen[0].endswith(b"4\r\none \r\n")
    assert replies(seen[0] + peer.receive())[0].body == b"one two three"


def test_write_after_the_request_is_an_error(connect: Connect) -> None:
    """An application that keeps write() cannot spoil a later response with it."""
    kept: list[Callable[[bytes], None]] = []

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        kept.append(start_response("200 OK", []))
        return [b"x"]

    peer = connect(application)
    peer.ask(get())

    with pytest.raises(Exception, match="after the request had ended"):
        kept[0](b"late")
    assert peer.receive() == b""


def test_an_error_page_replaces_what_was_not_sent(connect: Connect) -> None:
    """With exc_info, status and fields are replaced as long as nothing has left."""

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("X-First", "1")])
        try:
            raise ValueError("handled")
        except ValueError:
            start_response("503 Service Unavailable", [("X-Second", "2")], sys.exc_info())
        return [b"sorry"]

    peer = connect(application)
    [reply] = peer.ask(get())

    assert (reply.status, reply.body) == (503, b"sorry")
    assert "x-second" in reply.headers
    assert "x-first" not in reply.headers
    assert not peer.closed


def test_an_error_page_that_is_late_raises_the_error(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """With exc_info after the first byte, the application's own error goes on and ends the connection."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"some"
        try:
            raise ValueError("the cause")
        except ValueError:
            start_response("500 Internal Server Error", [], sys.exc_info())
        yield b"never"

    peer = connect(application)
    peer.send(get())
    data = peer.drive_and_receive()

    assert data.endswith(b"4\r\nsome\r\n")
    assert peer.closed
    assert "the cause" in str(caplog.records[0].exc_info)


# -- slow readers --


def test_a_slow_reader_does_not_hold_the_job(connect: Connect) -> None:
    """What the client has not taken is queued while the application goes on to its end, and arrives intact."""
    data = [os.urandom(50_000) for _ in range(60)]
    body = Watched(*data)
    peer = connect(body.application)
    peer.send(get())

    assert peer.drive() is Next.WRITE
    assert body.closed == 1
    assert not peer.waits
    assert peer.time_left == 30.0

    assert replies(peer.drive_and_receive())[0].body == b"".join(data)
    assert peer.connection.advance(peer.clock()) is Next.IDLE
    assert peer.ask(get())[0].status == 200


def test_a_slow_readers_file_is_given_back(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past response_memory the queue is one temporary file, which is gone when all was sent."""
    made = count_files(monkeypatch)
    peer = connect(parts(*[bytes(MEGABYTE)] * 3, b"end"))
    peer.send(get())
    peer.drive()
    assert [file.closed for file in made] == [False]

    assert replies(peer.drive_and_receive())[0].body.endswith(b"end")
    assert [file.closed for file in made] == [True]


def test_a_slow_reader_that_leaves_costs_nothing_more(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the client goes, the queue goes with its files."""
    made = count_files(monkeypatch)
    peer = connect(parts(*[bytes(MEGABYTE)] * 3))
    peer.send(get())
    peer.drive()
    peer.leave()

    assert peer.drive() is Next.CLOSE
    assert [file.closed for file in made] == [True]


def test_a_reader_that_takes_something_gets_more_time(connect: Connect) -> None:
    """write_timeout runs anew with every part that the client takes, and not otherwise."""
    peer = connect(parts(bytes(3 * MEGABYTE)), write_timeout=9.0)
    peer.send(get())
    peer.drive()
    peer.clock.now += 5.0
    assert peer.drive() is Next.WRITE
    assert peer.time_left == 4.0

    peer.receive()
    assert peer.drive() is Next.WRITE
    assert peer.time_left == 9.0

    assert peer.connection.expire(peer.clock() + 9.0) is Next.CLOSE


@pytest.mark.parametrize("memory", [1000, 10 * MEGABYTE])
def test_past_the_buffer_the_application_waits(connect: Connect, memory: int) -> None:
    """Over response_buffer the job waits until the client has taken enough, under write_timeout."""
    data = [os.urandom(100_000) for _ in range(50)]
    peer = connect(parts(*data), response_buffer=MEGABYTE, response_memory=memory, write_timeout=9.0)
    taken: list[bytes] = []
    peer.plan += [lambda: taken.append(peer.receive())] * 100
    peer.send(get())
    peer.drive()

    assert peer.waits
    assert set(peer.waits) == {(WRITE, START + 9.0)}
    assert replies(b"".join(taken) + peer.drive_and_receive())[0].body == b"".join(data)


def test_an_application_that_reads_and_writes_waits_for_the_right_thing(connect: Connect) -> None:
    """A job that has waited for its client's upload waits for the client to read when the queue is full."""

    def application(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        while data := environ["wsgi.input"].read(50_000):
            yield data * 10

    body = os.urandom(200_000)
    request = post(body)
    peer = connect(application, request_buffer=10, response_buffer=MEGABYTE)
    taken: list[bytes] = []
    pieces = [request[at : at + 60_000] for at in range(0, len(request), 60_000)]
    peer.send(pieces.pop(0))

    def do_what_is_awaited() -> None:
        want = peer.waits[-1][0]
        if want == READ:
            peer.send(pieces.pop(0))
        else:
            taken.append(peer.receive())

    peer.plan += [do_what_is_awaited] * 500
    peer.drive()

    assert WRITE in {want for want, _ in peer.waits}
    received = replies(b"".join(taken) + peer.drive_and_receive())[0].body
    assert received == b"".join(body[at : at + 50_000] * 10 for at in range(0, 200_000, 50_000))


def test_a_client_that_takes_nothing_ends_its_request(connect: Connect) -> None:
    """When the queue is full and write_timeout passes, the application's iterator is closed and the connection too."""
    body = Watched(*[bytes(100_000)] * 50)
    peer = connect(body.application, response_buffer=MEGABYTE)
    peer.send(get())

    assert peer.drive() is Next.CLOSE
    assert body.closed == 1


# -- files --


def file_response(path: Path, start: int = 0, headers: list[tuple[str, str]] | None = None) -> Application:
    def application(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", headers or [])
        file = path.open("rb")
        file.seek(start)
        return environ["wsgi.file_wrapper"](file)

    return application


@pytest.fixture
def sent_files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What each sendfile(2) sent."""
    sent: list[int] = []
    real = os.sendfile

    def sendfile(*arguments: int) -> int:
        sent.append(real(*arguments))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", sendfile)
    return sent


@pytest.mark.parametrize("start", [0, 1, 65_536, 999_999])
def test_a_file_is_sent_by_the_kernel(connect: Connect, tmp_path: Path, sent_files: list[int], start: int) -> None:
    """A wrapped file leaves by sendfile from where it stands, with its length, and the connection goes on."""
    path = tmp_path / "file"
    content = os.urandom(1_000_000)
    path.write_bytes(content)
    peer = connect(file_response(path, start))
    peer.send(get())
    [reply] = replies(peer.drive_and_receive())

    assert reply.body == content[start:]
    assert reply.headers["content-length"] == str(1_000_000 - start)
    assert sum(sent_files) == 1_000_000 - start
    assert not peer.closed


def test_a_file_that_is_read_is_the_same(connect: Connect, tmp_path: Path, sent_files: list[int]) -> None:
    """Without sendfile the file is read in blocks."""
    path = tmp_path / "file"
    content = os.urandom(70_000)
    path.write_bytes(content)
    peer = connect(file_response(path, 7), sendfile=False)
    peer.send(get())

    assert replies(peer.drive_and_receive())[0].body == content[7:]
    assert not sent_files


@pytest.mark.parametrize("start", [0, 10])
def test_an_empty_rest_of_a_file_is_an_empty_body(connect: Connect, tmp_path: Path, start: int) -> None:
    """An empty file, or one that was read to its end, is a body of length 0."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * start)
    [reply] = connect(file_response(path, start)).ask(get())

    assert (reply.body, reply.headers["content-length"]) == (b"", "0")


def test_what_is_no_real_file_is_read(connect: Connect, sent_files: list[int]) -> None:
    """A file in memory has no descriptor and is read."""

    def application(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 100_000), 1000)

    assert connect(application).ask(get())[0].body == b"x" * 100_000
    assert not sent_files


def test_a_pipe_is_read(connect: Connect, sent_files: list[int]) -> None:
    """A descriptor without a size is read."""

    def application(environ: Environ, start_response: StartResponse) -> Any:
        reader, writer = os.pipe()
        os.write(writer, b"from a pipe")
        os.close(writer)
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](os.fdopen(reader, "rb"))

    assert connect(application).ask(get())[0].body == b"from a pipe"
    assert not sent_files


def test_a_part_of_a_file_is_as_long_as_it_says(connect: Connect, tmp_path: Path) -> None:
    """A Content-Length below the file's size sends that much of it, as for a range."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    peer = connect(file_response(path, 2, [("Content-Length", "5")]))

    assert peer.ask(get())[0].body == b"23456"
    assert peer.ask(get())[0].body == b"23456"


def test_a_file_is_closed_and_goes_on_to_a_slow_reader(connect: Connect, tmp_path: Path) -> None:
    """The application's file is closed when the job ends, though most of it is still to be sent."""
    path = tmp_path / "file"
    content = os.urandom(3 * MEGABYTE)
    path.write_bytes(content)
    files: list[Any] = []

    def application(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        files.append(path.open("rb"))
        return environ["wsgi.file_wrapper"](files[-1])

    peer = connect(application)
    peer.send(get())
    assert peer.drive() is Next.WRITE
    assert files[0].closed

    assert replies(peer.drive_and_receive())[0].body == content


def test_a_large_file_does_not_hold_the_job(connect: Connect, tmp_path: Path) -> None:
    """A file takes no buffer of ours, so however large it is the job does not wait for its reader."""
    path = tmp_path / "file"
    content = os.urandom(3 * MEGABYTE)
    path.write_bytes(content)
    peer = connect(file_response(path), response_buffer=100_000)
    peer.send(get())

    assert peer.drive() is Next.WRITE
    assert not peer.waits
    assert replies(peer.drive_and_receive())[0].body == content


def test_head_of_a_file(connect: Connect, tmp_path: Path, sent_files: list[int]) -> None:
    """HEAD tells a file's length and sends none of it."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    [reply] = connect(file_response(path)).ask(get(method="HEAD"))

    assert (reply.body, reply.headers["content-length"]) == (b"", "10")
    assert not sent_files

"""The standard library's WSGI validator around an application that uses all of WSGI, in the real command."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from harness import Launcher, Server

WHOLE = b"0123456789abcdef" * 64 * 50
CLOSE = b"Host: localhost\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def server(serve_for_module: Launcher) -> Iterator[Server]:
    """A server whose log must show no complaint once all tests are over."""
    server = serve_for_module("validated:app")
    yield server
    server.stop()
    complaints = [line for line in server.log.lines if not re.search(r"\[INFO\]|^stream closed$", line)]
    assert complaints == []


def test_answer_of_known_length(server: Server) -> None:
    """GET gets the body and its length."""
    response = server.get("/fixed")

    assert (response.text, response.headers["content-length"]) == ("fixed", "5")


def test_query_and_head(server: Server) -> None:
    """HEAD gets the same length and no body, also where the target has a query."""
    reply = server.exchange(b"HEAD /fixed?a=%20&b HTTP/1.1\r\n" + CLOSE + b"\r\n")

    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "5", b"")


def test_body_of_known_length(server: Server) -> None:
    """POST's body reaches the application whole."""
    with server.client() as client:
        assert client.post("/echo", content=WHOLE).content == WHOLE


def test_chunked_upload(server: Server) -> None:
    """A body in chunks reaches the application without its framing."""
    with server.client() as client:
        assert client.post("/echo", content=iter([b"first ", b"second ", WHOLE])).content == b"first second " + WHOLE


def test_upload_read_by_lines(server: Server) -> None:
    """The input can be read by lines and iterated over."""
    body = b"one\ntwo\n\nlast without end"
    with server.client() as client:
        assert client.post("/lines", content=body).content == body


def test_empty_upload(server: Server) -> None:
    """A POST of length zero is an empty input."""
    with server.client() as client:
        assert client.post("/echo", content=b"").content == b""


def test_streamed_answer(server: Server) -> None:
    """An iterator without a length arrives whole, and its close() is called once."""
    mark = server.log.mark()
    response = server.get("/stream")

    assert response.content == WHOLE
    assert len(server.wait_for_log("^stream closed$", since=mark)) == 1


def test_head_of_a_stream_closes_it(server: Server) -> None:
    """close() is called also when no body is sent."""
    mark = server.log.mark()
    reply = server.exchange(b"HEAD /stream HTTP/1.1\r\n" + CLOSE + b"\r\n")

    assert reply.body == b""
    server.wait_for_log("^stream closed$", since=mark)


def test_write(server: Server) -> None:
    """What write() sent comes before what the application returned."""
    assert server.get("/write").text == "written, then returned"


def test_file_wrapper(server: Server) -> None:
    """A wrapped file arrives whole, with its length."""
    response = server.get("/file")

    assert response.content == WHOLE
    assert response.headers["content-length"] == str(len(WHOLE))


def test_answer_without_body(server: Server) -> None:
    """204 has neither body nor length."""
    reply = server.exchange(b"GET /nothing HTTP/1.1\r\n" + CLOSE + b"\r\n")

    assert (reply.status, reply.body) == (204, b"")
    assert not {"content-length", "transfer-encoding"} & set(reply.headers)


def test_answer_taken_back(server: Server) -> None:
    """exc_info replaces a status that is not sent yet."""
    response = server.get("/late-error")

    assert (response.status_code, response.text) == (500, "sorry")


def test_http_1_0(server: Server) -> None:
    """A 1.0 client gets the stream without chunks, ended by the close."""
    mark = server.log.mark()
    reply = server.exchange(b"GET /stream HTTP/1.0\r\n\r\n")

    assert reply.body == WHOLE
    assert "transfer-encoding" not in reply.headers
    server.wait_for_log("^stream closed$", since=mark)


def test_several_requests_on_a_connection(server: Server) -> None:
    """Pipelined requests of all kinds are answered in their order."""
    requests = (
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"
        b"GET /write HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"GET /fixed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    with server.connect() as connection:
        connection.send(requests)
        bodies = [connection.read_response().body for _ in range(4)]

        assert bodies == [b"abc", b"def", b"written, then returned", b"fixed"]
        assert connection.at_end()

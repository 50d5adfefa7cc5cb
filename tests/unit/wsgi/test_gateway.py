"""The WSGI gateway against an exchange that writes down what it is told."""

from __future__ import annotations

import io
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import pytest

from workerkit.errors import ApplicationError, Disconnected
from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader, RequestHead
from workerkit.net.address import TCPAddress
from workerkit.net.job_deadline import JobDeadline
from workerkit.net.stream import Stream
from workerkit.wsgi.gateway import Application, FileWrapper, WsgiFacts, WsgiGateway

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]


@dataclass
class RecordedExchange:
    """Notes every call; starts when the first byte of a body is written, as HTTP does."""

    head: RequestHead
    stream: Stream
    body: IO[bytes] = field(default_factory=io.BytesIO)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    started: bool = False
    leaves_at: int = 1000
    job_deadline: JobDeadline | None = None

    def respond(self, status: str, fields: list[tuple[str, str]], data: bytes) -> None:
        self._note("respond", status, list(fields), data)
        self.started = True

    def start(self, status: str, fields: list[tuple[str, str]], length: int | None = None) -> None:
        self._note("start", status, list(fields), length)

    def write(self, data: bytes) -> None:
        self._note("write", data)
        self.started = True

    def send_file(self, file: IO[bytes], start: int, count: int) -> None:
        self._note("send_file", start, count)
        assert not file.closed
        self.started = True

    def on_drain(self, callback: Callable[[], object]) -> None:
        self._note("on_drain", callback)

    def early_hints(self, fields: Iterable[tuple[str, str]]) -> None:
        self._note("early_hints", fields)

    def hand_over(self) -> bytes:
        self._note("hand_over")
        return b""

    def _note(self, *call: Any) -> None:
        if len(self.calls) == self.leaves_at:
            raise Disconnected("the client left")
        self.calls.append(call)


@pytest.fixture
def exchange() -> Iterator[RecordedExchange]:
    ours, theirs = socket.socketpair()
    head = HeadReader(HttpLimits()).feed(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert head is not None
    yield RecordedExchange(head, Stream(ours, ("192.0.2.7", 1), TCPAddress("127.0.0.1", 80), lambda *_: None))
    ours.close()
    theirs.close()


def serve(exchange: RecordedExchange, application: Application, *, sendfile: bool = True, **facts: Any) -> list[Any]:
    told = WsgiFacts(**{"multithread": False, "multiprocess": True, "worker_class": "sync", **facts}, sendfile=sendfile)
    WsgiGateway(application, told, Trust(ForwardedOptions()))(exchange)
    return exchange.calls


def answering(result: Any, *headers: tuple[str, str]) -> Application:
    def application(_environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", list(headers))
        return result

    return application


@pytest.mark.parametrize(
    ("result", "data"),
    [
        ([b"hello"], b"hello"),
        ([b"a", b"b", b"", b"c"], b"abc"),
        ([], b""),
        ([b""], b""),
        ([bytearray(b"x"), memoryview(b"y")], b"xy"),
        ([bytearray(b"x")], b"x"),
    ],
)
def test_a_list_is_one_answer(exchange: RecordedExchange, result: list[Any], data: bytes) -> None:
    """A body that is all here is handed over at once, so that its length is known."""
    assert serve(exchange, answering(result, ("X", "y"))) == [("respond", "200 OK", [("X", "y")], data)]
    assert type(exchange.calls[0][3]) is bytes


def test_an_iterable_is_sent_part_by_part(exchange: RecordedExchange) -> None:
    """The head starts with the first part that is not empty, and of unknown length."""
    assert serve(exchange, answering(iter([b"", b"a", b"", bytearray(b"b")]))) == [
        ("start", "200 OK", [], None),
        ("write", b"a"),
        ("write", b"b"),
    ]


def test_an_iterable_without_a_part_is_empty(exchange: RecordedExchange) -> None:
    """When nothing comes, the length is known after all."""
    assert serve(exchange, answering(iter([b"", b""]))) == [("start", "200 OK", [], 0)]


def test_parts_are_asked_for_one_at_a_time(exchange: RecordedExchange) -> None:
    """An application that streams sees each part leave before it is asked for the next."""
    seen: list[int] = []

    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(3):
            seen.append(sum(call[0] == "write" for call in exchange.calls))
            yield b"x"

    serve(exchange, application)

    assert seen == [0, 1, 2]


def test_a_generator_may_start_when_it_is_first_asked(exchange: RecordedExchange) -> None:
    """start_response may come as late as the first part."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("201 Created", [])
        yield b"x"

    assert serve(exchange, application)[0] == ("start", "201 Created", [], None)


def test_the_environ_tells_what_the_worker_is(exchange: RecordedExchange) -> None:
    """Applications learn from the environ how they are run and what the server can do."""
    seen: Environ = {}

    def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return []

    serve(exchange, application, multithread=True, multiprocess=False, worker_class="gevent")

    assert (seen["wsgi.multithread"], seen["wsgi.multiprocess"], seen["wsgi.run_once"]) == (True, False, False)
    assert (seen["wsgi.version"], seen["wsgi.errors"]) == ((1, 0), sys.stderr)
    assert (seen["wsgi.file_wrapper"], seen["wsgi.input_terminated"]) == (FileWrapper, True)
    assert (seen["workerkit.worker_class"], seen["SERVER_SOFTWARE"]) == ("gevent", "workerkit")
    assert seen["wsgi.input"] is exchange.body


@pytest.mark.parametrize(
    "result", [["text"], [b"x", "text"], iter(["text"]), iter([7]), "text"], ids=["list", "mixed", "iter", "int", "str"]
)
def test_a_body_is_made_of_bytes(exchange: RecordedExchange, result: Any) -> None:
    """Anything else is named before a byte of it has left."""
    with pytest.raises(ApplicationError, match=r"made of bytes, not of (str|int)"):
        serve(exchange, answering(result))
    assert not exchange.started


def test_an_answer_needs_a_status(exchange: RecordedExchange) -> None:
    """A body without start_response is an error, whichever way it comes."""
    for result in ([b"x"], [], iter([b"x"]), iter([])):
        with pytest.raises(ApplicationError, match="start_response"):
            serve(exchange, lambda _environ, _start, result=result: result)
    assert exchange.calls == []


def test_start_response_is_called_once(exchange: RecordedExchange) -> None:
    """A second call without exc_info is an error of the application."""

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(AssertionError, match="called again"):
        serve(exchange, application)


def test_an_error_can_change_its_mind_before_the_first_byte(exchange: RecordedExchange) -> None:
    """With exc_info the later status and fields are the ones that are sent."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("X", "1")])
        yield b""
        try:
            raise ValueError("broken")
        except ValueError:
            start_response("500 Internal Server Error", [("Y", "2")], sys.exc_info())
        yield b"sorry"

    assert serve(exchange, application)[0] == ("start", "500 Internal Server Error", [("Y", "2")], None)


def test_an_error_after_the_first_byte_goes_on(exchange: RecordedExchange) -> None:
    """With exc_info after the first byte the application's own exception is raised again."""

    def application(_environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x"
        try:
            raise ValueError("broken")
        except ValueError:
            start_response("500 Internal Server Error", [], sys.exc_info())

    with pytest.raises(ValueError, match="broken"):
        serve(exchange, application)


def test_write_is_before_what_is_returned(exchange: RecordedExchange) -> None:
    """write() starts the response and sends at once, and a list that follows does not start another."""

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"a")
        write(bytearray(b"b"))  # type: ignore[arg-type]
        return [b"c", b"d"]

    assert serve(exchange, application) == [
        ("start", "200 OK", [], None),
        ("write", b"a"),
        ("write", b"b"),
        ("write", b"c"),
        ("write", b"d"),
    ]


def test_write_takes_bytes(exchange: RecordedExchange) -> None:
    """Text in write() is an error before a byte of it has left."""

    def application(_environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])("text")  # type: ignore[arg-type]
        return []

    with pytest.raises(ApplicationError, match="made of bytes, not of str"):
        serve(exchange, application)
    assert not exchange.started


def test_write_ends_with_its_request(exchange: RecordedExchange) -> None:
    """A write() that an application has kept is refused afterwards."""
    for result in ([b"x"], iter([b"x"])):
        kept: list[Callable[[bytes], None]] = []

        def application(
            _environ: Environ, start_response: StartResponse, kept: list[Any] = kept, result: Any = result
        ) -> Any:
            kept.append(start_response("200 OK", []))
            return result

        serve(exchange, application)
        before = list(exchange.calls)
        with pytest.raises(ApplicationError, match="after the request had ended"):
            kept[0](b"late")
        assert exchange.calls == before
        exchange.started = False


class Body:
    """An iterable with a close() that is counted."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("parts", [(b"x",), (), (RuntimeError("broken"),), (b"x", RuntimeError("broken")), ("text",)])
def test_close_is_always_called(exchange: RecordedExchange, parts: tuple[Any, ...]) -> None:
    """However the response ends, the iterable is closed, once."""
    body = Body(*parts)
    try:
        serve(exchange, answering(body))
    except (RuntimeError, ApplicationError):
        assert parts not in ((b"x",), ())

    assert body.closed == 1


def test_close_is_called_when_the_client_leaves(exchange: RecordedExchange) -> None:
    """A client that goes away ends the iteration, and the iterable is closed."""
    exchange.leaves_at = 2
    body = Body(b"a", b"b", b"c")

    with pytest.raises(Disconnected):
        serve(exchange, answering(body))
    assert body.closed == 1


def test_close_is_called_of_a_list_that_has_one(exchange: RecordedExchange) -> None:
    """A subclass of list may have something to let go of."""

    class Closing(list[bytes]):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    result = Closing([b"x"])
    serve(exchange, answering(result))

    assert result.closed == 1


# -- wsgi.file_wrapper --


def test_a_real_file_is_handed_over(exchange: RecordedExchange) -> None:
    """The rest of a file, from where it stands, is sent without being read; afterwards it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  the gateway closes it
    file.write(b"0123456789")
    file.seek(4)

    assert serve(exchange, answering(FileWrapper(file), ("X", "y"))) == [
        ("start", "200 OK", [("X", "y")], 6),
        ("send_file", 4, 6),
    ]
    assert file.closed


def test_a_file_is_read_where_it_cannot_be_handed_over(exchange: RecordedExchange) -> None:
    """A file in memory, or with sendfile turned off, is read in blocks and closed."""
    with tempfile.TemporaryFile() as real:
        real.write(b"0123456789")
        for file, sendfile in ((io.BytesIO(b"0123456789"), True), (real, False)):
            exchange.calls.clear()
            exchange.started = False
            file.seek(1)
            assert serve(exchange, answering(FileWrapper(file, 4)), sendfile=sendfile) == [
                ("start", "200 OK", [], None),
                ("write", b"1234"),
                ("write", b"5678"),
                ("write", b"9"),
            ]
            assert file.closed


def test_a_file_after_write_is_read(exchange: RecordedExchange) -> None:
    """When the response has begun by write(), the file goes on in parts."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  the gateway closes it
    file.write(b"file")
    file.seek(0)

    def application(_environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])(b"head")
        return FileWrapper(file)

    assert serve(exchange, application)[1:] == [("write", b"head"), ("write", b"file")]


def test_a_file_wrapper_is_an_iterator_for_middleware() -> None:
    """Middleware that looks into the body gets blocks, and close() only where the file has one."""
    wrapper = FileWrapper(io.BytesIO(b"abcde"), 2)
    assert list(wrapper) == [b"ab", b"cd", b"e"]
    wrapper.close()
    assert wrapper.file.closed

    class WithoutClose:
        def read(self, _size: int) -> bytes:
            return b""

    assert not hasattr(FileWrapper(WithoutClose()), "close")  # type: ignore[arg-type]

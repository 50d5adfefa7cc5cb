"""Calls a WSGI application (PEP 3333) for an exchange, and hands its answer back.

Runs inside the job: here the application may take as long as it likes. Called by ``protocols.http1``, with anything
that has the attributes of ``Exchange``.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, cast

from workerkit.errors import ApplicationError
from workerkit.http.forwarded import Trust
from workerkit.net.job_deadline import NO_DEADLINE
from workerkit.net.upgrade import Upgrade
from workerkit.records import Record
from workerkit.wsgi.environ import Environ, EnvironBuilder
from workerkit.wsgi.exchange import Exchange
from workerkit.wsgi.upgrade import WAYS_TO_LEAVE, UpgradeExchange

if TYPE_CHECKING:
    from workerkit.wsgi.client_environ import ClientEnvironBuilder

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
StartResponse = Callable[..., Callable[[bytes], None]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


_log = logging.getLogger("workerkit.error")

_NO_STATUS = "the application sent a body without calling start_response"


class FileWrapper:
    """``wsgi.file_wrapper``: a file as a response's body, sent by sendfile(2) where it is a real one."""

    def __init__(self, file: IO[bytes], block_size: int = 65536) -> None:
        self.file = file
        self.block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        if data := self.file.read(self.block_size):
            return data
        raise StopIteration


class WsgiFacts(Record):
    """What an application may ask of the worker that runs it."""

    multithread: bool
    multiprocess: bool
    sendfile: bool
    worker_class: str
    upgrade_environ: Callable[[Environ, Upgrade], Environ] | None = None
    """``Worker.upgrade_environ`` of the class; None: its applications get no sockets."""
    tls: bool = False
    """Whether all connections are TLS."""


class WsgiGateway:
    """One per worker: an application, and what all its requests have in common."""

    def __init__(self, application: Application, facts: WsgiFacts, trust: Trust) -> None:
        self.application = application
        self._facts = facts
        self._sendfile = facts.sendfile
        self._has_refused = False
        self._builder = _builder(
            facts,
            {
                "wsgi.version": (1, 0),
                "wsgi.errors": sys.stderr,
                "wsgi.multithread": facts.multithread,
                "wsgi.multiprocess": facts.multiprocess,
                "wsgi.run_once": False,
                "wsgi.file_wrapper": FileWrapper,
                "wsgi.input_terminated": True,
                "SERVER_SOFTWARE": "workerkit",
                "SCRIPT_NAME": os.environ.get("SCRIPT_NAME", ""),
                "workerkit.worker_class": facts.worker_class,
                "workerkit.deadline": NO_DEADLINE,
            },
            trust,
        )

    def __call__(self, exchange: Exchange) -> None:
        """Answer the exchange's request; in a job."""
        environ = self._builder.build(exchange.head, exchange.stream, exchange.body)
        environ["workerkit.on_drain"] = exchange.on_drain
        environ["wsgi.early_hints"] = exchange.early_hints
        if exchange.job_deadline is not None:
            environ["workerkit.deadline"] = exchange.job_deadline
        if exchange.head.fields.upgrade is None:
            self._answer(exchange, environ)
        else:
            self._answer_upgrade(exchange, environ)

    def _answer(self, exchange: Exchange, environ: Environ) -> None:
        call = _Call(exchange)
        result = self.application(environ, call.start_response)
        if type(result) is list:
            # What most applications return; a list has no close().
            call.send_list(result)
            call.over = True
            return
        try:
            if type(result) is FileWrapper and self._sendfile and call.send_file(result):
                return
            call.send(result)
        finally:
            # PEP 3333: close() is called whatever the end of the request was.
            if hasattr(result, "close"):
                result.close()
            call.over = True

    def _answer_upgrade(self, exchange: Exchange, environ: Environ) -> None:
        """Let the application take the connection, if the worker class can spare what that costs."""
        upgrade = Upgrade(exchange.stream, self.application, exchange.hand_over)
        # RFC 9110 section 7.8: Upgrade in a request of HTTP/1.0 is ignored.
        if exchange.head.minor:
            environ.update(self._offers(environ, upgrade))
        try:
            self._answer(UpgradeExchange(exchange, upgrade), environ)
        except WAYS_TO_LEAVE:
            if not upgrade.taken:
                raise
        finally:
            upgrade.end()

    def _offers(self, environ: Environ, upgrade: Upgrade) -> Environ:
        offer = self._facts.upgrade_environ
        offers = offer(environ, upgrade) if offer is not None else {}
        if not offers and not self._has_refused and environ["HTTP_UPGRADE"].lower() == "websocket":
            self._has_refused = True
            _log.warning(
                "A WebSocket was asked for at %s. The worker class %s has no socket to give away, since one client "
                "would hold up all others: use threaded, gevent or eventlet.",
                environ["RAW_URI"],
                self._facts.worker_class,
            )
        return offers


def _builder(facts: WsgiFacts, base: Environ, trust: Trust) -> EnvironBuilder | ClientEnvironBuilder:
    builder = EnvironBuilder(base, trust)
    if facts.tls:
        from workerkit.wsgi.tls_environ import TlsEnvironBuilder  # noqa: PLC0415  it imports ssl, which others need not

        builder = TlsEnvironBuilder(base, trust)
    if not trust.names_clients:
        return builder
    from workerkit.wsgi.client_environ import ClientEnvironBuilder  # noqa: PLC0415  few need it

    return ClientEnvironBuilder(builder, trust)


class _Call:
    """One call of the application: what start_response was told, until the first byte of the body."""

    __slots__ = ("_exchange", "_fields", "_status", "over")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._status: str | None = None
        self._fields: list[tuple[str, str]] = []
        self.over = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Take the status and the fields; nothing is sent yet (PEP 3333)."""
        if exc_info:
            try:
                if self._exchange.started:
                    # Too late to send anything else, so the error goes on to whoever called the application.
                    raise cast("BaseException", exc_info[1]).with_traceback(exc_info[2])
            finally:
                exc_info = None  # a cycle through the traceback otherwise
        elif self._status is not None:
            raise AssertionError("start_response was called again, without exc_info")
        self._status = status
        self._fields = headers
        return self.write

    def write(self, data: bytes) -> None:
        """Send a part of the body now; the older of WSGI's two ways."""
        if self.over:
            raise ApplicationError("write() was called after the request had ended")
        if not self._exchange.started:
            self._start(None)
        self._exchange.write(data if type(data) is bytes else _checked(data))

    def send(self, result: Iterable[bytes]) -> None:
        """Send what the application returned."""
        for data in result:
            if data:
                self.write(data)
        if not self._exchange.started:
            self._start(0)

    def send_list(self, result: list[bytes]) -> None:
        """Send what the application returned at once: its length is known, and one send carries it."""
        exchange = self._exchange
        if exchange.started:
            self.send(result)
            return
        status = self._status
        if status is None:
            raise ApplicationError(_NO_STATUS)
        data = result[0] if len(result) == 1 else b"".join(map(_checked, result))
        exchange.respond(status, self._fields, data if type(data) is bytes else _checked(data))

    def send_file(self, wrapper: FileWrapper) -> bool:
        """Send a file without reading it; False when it is not a file that the kernel can send."""
        if self._exchange.started:
            return False
        try:
            position = wrapper.file.tell()
            size = os.fstat(wrapper.file.fileno()).st_size
        except (AttributeError, OSError):
            return False
        if size <= position:
            return False
        self._start(size - position)
        self._exchange.send_file(wrapper.file, position, size - position)
        return True

    def _start(self, length: int | None) -> None:
        self._exchange.start(self._said_status(), self._fields, length)

    def _said_status(self) -> str:
        if self._status is None:
            raise ApplicationError(_NO_STATUS)
        return self._status


def _checked(data: Any) -> bytes:
    if type(data) is bytes:
        return data
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ApplicationError(f"a response's body is made of bytes, not of {type(data).__name__}")

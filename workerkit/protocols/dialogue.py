"""A plain function over a stream, as a protocol: ``handle(stream)`` is called once for each connection.

The function is the job. It owns the stream until it returns, so it holds one unit of its worker's concurrency (a
thread, a greenlet) for as long as its connection lives. Worker classes that can afford that declare the job
``dialogue``; a sync worker would serve one client and no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from workerkit.errors import ConfigError, DeadlineExceeded, Disconnected, ProtocolError
from workerkit.frames import summary, user_frames
from workerkit.net.protocol import Connection, Job, Next, Protocol, Service
from workerkit.net.stream import Stream
from workerkit.protocols.endings import LINGER_FOR, peer_name, read_away

Handle = Callable[[Stream], object]
"""``handle(stream)``: runs where the worker class may block, and ends the connection by returning."""


class Dialogue(Protocol):
    """Serves one function."""

    job = "dialogue"

    def __init__(self, handle: Handle, log: logging.Logger | None = None) -> None:
        self.handle = handle
        self.log = log or logging.getLogger("workerkit.error")

    @classmethod
    def serving(cls, service: Service) -> Dialogue:
        """Serve a function; see ``Protocol.serving``."""
        import inspect  # noqa: PLC0415  the dataclasses module has imported it already

        if not callable(service.served):
            raise ConfigError("nothing to serve: a dialogue is a function, named as in `workerkit MODULE:HANDLE`")
        if inspect.iscoroutinefunction(service.served):
            raise ConfigError(f"{service.name} is a coroutine function; a dialogue is a plain one (def, not async def)")
        return cls(service.served, service.log)

    def connect(self, stream: Stream) -> DialogueConnection:
        """Return the conversation for a new connection."""
        return DialogueConnection(stream, self)


def dialogue(handle: Handle) -> Dialogue:
    """Return the protocol that calls ``handle(stream)`` for each connection, in the worker.

    ``workerkit.run`` does this by itself for a function that takes one argument; others have to be wrapped.

    The function blocks as it likes, in ``stream.read``, ``read_exactly``, ``lines`` and ``write``, and closes the
    connection by returning. When the worker is told to leave, it reads the end of its input, after what has arrived.
    What it need not catch: ``Disconnected``, ``DeadlineExceeded`` and ``ProtocolError`` end the connection quietly.
    Any other exception is logged and counted as a failure.
    """
    return Dialogue(handle)


class DialogueConnection(Connection):
    """One call of the function."""

    __slots__ = ("_protocol", "_returned")

    def __init__(self, stream: Stream, protocol: Dialogue) -> None:
        super().__init__(stream)
        self._protocol = protocol
        self._returned = False

    def advance(self, now: float) -> Next:
        """Have the function called; once it has returned, close; see ``Connection.advance``."""
        if not self._returned:
            return Next.RUN
        if self.deadline is None:
            self.deadline = now + LINGER_FOR
            self.stream.shut_write()
        try:
            return read_away(self.stream)
        except Disconnected:
            return Next.CLOSE

    def take(self) -> Job:
        """Return the call."""
        return self._call

    def drain(self, now: float) -> Next:  # noqa: ARG002  the end of the input is for the function to notice
        """End the function's input, wherever it waits; what has arrived already is still read."""
        self.stream.shut_read()
        return Next.AGAIN

    def _call(self) -> bool:
        """Run the function; return whether it failed. This is the job."""
        stream, log = self.stream, self._protocol.log
        stream.lent = True
        try:
            self._protocol.handle(stream)
        except (Disconnected, DeadlineExceeded) as error:
            log.debug("The dialogue with %s ended: %s", peer_name(stream), error)
        except ProtocolError as error:
            log.info("Closed the dialogue with %s: %s", peer_name(stream), error)
        except BaseException as error:  # noqa: BLE001  SystemExit too: a function cannot end the server that it runs in
            log.error("Error in the dialogue with %s\n%s%s", peer_name(stream), user_frames(error), summary(error))
            return True
        finally:
            stream.lent = False
            self._returned = True
        return False

"""``wsgi.websocket``: the WebSocket of gevent-websocket, for applications that were written for that library.

The library upgrades each WebSocket request before the application is called, on top of gevent's own server. Here its
judgement of the handshake and its WebSocket are used, on a connection of ours, and only when the application first
uses what it finds: so those who bring a WebSocket library of their own are not disturbed by the package's presence.
"""

from __future__ import annotations

import logging
from functools import cache
from types import SimpleNamespace
from typing import Any

from workerkit.net.upgrade import OnFirstUse, Upgrade


def websocket_environ(environ: dict[str, Any], upgrade: Upgrade) -> dict[str, Any]:
    """Return the key, if the library is installed and the request is for a WebSocket. Called in the job."""
    if environ["HTTP_UPGRADE"].lower() != "websocket":
        return {}
    handshake = _handshake_class()
    if handshake is None:
        return {}
    # It knows the environ that it is in: not to leave that to the garbage collector.
    upgrade.at_end(lambda: environ.pop("wsgi.websocket", None))
    return {"wsgi.websocket": OnFirstUse(handshake(environ, upgrade).accept)}


@cache
def _handshake_class() -> Any:
    """Make the class when it is first needed: this module imports without the library; None: it is not there."""
    try:
        from geventwebsocket.exceptions import WebSocketError  # noqa: PLC0415
        from geventwebsocket.handler import Client, WebSocketHandler  # noqa: PLC0415
    except ImportError:
        return None

    # What handlers of one server share; applications list its clients, to send to all of them.
    server = SimpleNamespace(clients={}, logger=logging.getLogger("geventwebsocket"))

    class Handshake(WebSocketHandler):  # type: ignore[misc]  # the library has no types
        """The library's handler, without gevent's server: a request that was read already."""

        def __init__(self, environ: dict[str, Any], upgrade: Upgrade) -> None:
            self.environ = environ
            self.server = server
            self.server.application = self.application = upgrade.application
            self.client_address = (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT"))
            self.request_version = environ["SERVER_PROTOCOL"]
            self._upgrade = upgrade

        def accept(self) -> Any:
            """Answer the handshake and return the WebSocket.

            Raises:
                WebSocketError: It is none; nothing was sent.
            """
            self.upgrade_websocket()
            return self.websocket

        @property
        def rfile(self) -> Any:
            """What the WebSocket reads; asked for once, when the handshake has been found good."""
            self.socket = self._upgrade.take()
            file = self.socket.makefile("rb")
            self._upgrade.at_end(self.socket.close)
            self._upgrade.at_end(file.close)
            return file

        def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:  # noqa: ARG002
            """Send the head; called by the library, which has made the WebSocket before if that is 101."""
            if not status.startswith("101 "):
                raise WebSocketError(f"the handshake is refused: {status}")
            self.server.clients[self.client_address] = Client(self.client_address, self.websocket)
            self._upgrade.at_end(self._close)
            lines = [f"HTTP/1.1 {status}", *map(": ".join, headers), "", ""]
            self.socket.sendall("\r\n".join(lines).encode("latin-1"))

        def _close(self) -> None:
            del self.server.clients[self.client_address]
            if not self.websocket.closed:
                self.websocket.close()

    return Handshake

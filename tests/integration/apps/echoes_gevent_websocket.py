"""Echoes on a WebSocket of gevent-websocket; tells at ``/clients`` how many are connected."""

from __future__ import annotations

from geventwebsocket import Resource, WebSocketApplication


class Echo(WebSocketApplication):
    clients = None

    def on_open(self):
        Echo.clients = self.ws.handler.server.clients

    def on_message(self, message):
        if message is not None:
            self.ws.send(message)


def plain(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello" if environ["PATH_INFO"] == "/" else b"%d" % len(Echo.clients)]


app = Resource([("^/echo", Echo), ("^/", plain)])

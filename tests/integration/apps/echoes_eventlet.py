"""Echoes on eventlet's own WebSocket."""

from __future__ import annotations

from eventlet import websocket


@websocket.WebSocketWSGI
def echo(ws):
    while (message := ws.wait()) is not None:
        ws.send(message)


def app(environ, start_response):
    if environ["PATH_INFO"] == "/echo":
        return echo(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

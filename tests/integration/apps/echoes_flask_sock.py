"""Echoes on a WebSocket of flask-sock; says good-bye with 1001 when its worker leaves."""

from __future__ import annotations

from flask import Flask, request
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)


@app.route("/")
def hello():
    return "hello"


@sock.route("/echo")
def echo(ws):
    def say_good_bye():
        print("told that the worker leaves", file=request_errors, flush=True)
        ws.close(1001, "the worker leaves")

    request_errors = request.environ["wsgi.errors"]
    request.environ["workerkit.on_drain"](say_good_bye)
    while True:
        ws.send(ws.receive())

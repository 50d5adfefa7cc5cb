"""Echoes by Flask-SocketIO, in the mode that the variable ASYNC_MODE names."""

from __future__ import annotations

import os

from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ["ASYNC_MODE"])


@app.route("/")
def hello():
    return "hello"


@socketio.event
def echo(text):
    emit("echo", text)


@socketio.event
def shout(text):
    return text.upper()

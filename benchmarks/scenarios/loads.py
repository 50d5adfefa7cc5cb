"""The loads that wrk brings: what is asked, of which application, on how many connections."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import served
from benchmarks.load import BROWSER, PLAIN, Request
from benchmarks.served import Application


@dataclass(frozen=True, slots=True)
class Load:
    """One load, by the name that rows and goals know it by."""

    name: str
    application: Application
    request: Request = PLAIN
    connections: int = 16
    pipelined: int = 1


HELLO = Load("hello", served.HELLO)
BROWSER_HEADERS = Load("browser headers", served.HELLO, BROWSER)
NEW_CONNECTIONS = Load("new connections", served.HELLO, Request(fields=(("Connection", "close"),)))
PIPELINED = Load("pipelined x16", served.HELLO, pipelined=16)
POST = Load("64 KiB POST", served.UPLOAD, Request("POST", body=b"x" * 65536))
STREAM = Load("1 MiB stream", served.STREAM)
FILE = Load("100 KiB file", served.FILE)
WAIT = Load("10 ms wait, 128 connections", served.WAITING, connections=128)
PAGE = Load("Flask page", served.shop(), BROWSER)

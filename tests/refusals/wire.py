"""Cases over a socket: each is tried on a server of one worker, run by the real command."""

from __future__ import annotations

import json
import re
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

from tests.refusals.case import ARGUMENTS, Case, Cut, Fault, Gone, Refused, Sending, Understood, Waiting
from tests.refusals.dialogue import (
    PROXY,
    STRANGER,
    Mismatch,
    Response,
    exchange,
    exchange_on_leave,
    exchange_while_sending,
    reset,
    responses,
    ways_to_split,
)
from tests.refusals.misbehaving import INJECTED
from workerkit.testing.client import RawConnection
from workerkit.testing.server import Launcher, Server

LAST = b"GET /pipelined HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""What follows every case: never read behind a refused one, always behind another."""

_PIPELINED = "GET /pipelined"
_ROOT = Path(__file__).resolve().parents[2]


class Target:
    """A running server of one worker class, and a connection by which its application tells what it was asked."""

    def __init__(self, worker: str, folder: Path) -> None:
        self._launcher = Launcher(folder, path=[_ROOT], arguments=["--worker-class", worker, *ARGUMENTS])
        self.server: Server = self._launcher("tests.refusals.misbehaving:app", tracebacks=True)
        self._control: RawConnection = self.server.connect()
        self._worker = self._ask()["pid"]

    def close(self) -> None:
        """Stop the server, which has to end well."""
        self._control.close()
        self._launcher.finish()

    def try_out(self, case: Case) -> None:
        """Try one case.

        Raises:
            Mismatch: What came back, or what the application was asked, is not what must.
        """
        try:
            self._try(case)
        except Mismatch:
            self._worker = self._ask()["pid"]  # what this case left behind is not the next one's
            raise

    @singledispatchmethod
    def _try(self, case: Any) -> None:
        raise TypeError(f"no case: {case!r}")

    @_try.register
    def _try_refused(self, case: Refused) -> None:
        # Alone first: the answer must not wait for anything to follow.
        for way, pieces in {"alone": [case.data], **ways_to_split(case.data + LAST)}.items():
            raw = exchange(self.server.port, pieces, source=PROXY if case.trusted else STRANGER)
            answers = [answer.status for answer in responses(raw)]
            _equal(answers, [200] * case.answered + [case.status], f"answers, sent {way}")
            if b"HTTP/1.1 100 " in raw:
                raise Mismatch(f"leave was given to send a body that is refused, sent {way}")
            calls = self._calls()
            _equal(len(calls), case.answered + case.calls, f"requests that the application saw, sent {way}")
            errors = [call["error"] for call in calls[case.answered :]]
            _equal(errors, ["OSError"] * case.calls, f"what the application read, sent {way}")

    @_try.register
    def _try_understood(self, case: Understood) -> None:
        for way, pieces in ways_to_split(case.data + LAST).items():
            raw = exchange(self.server.port, pieces, source=PROXY if case.trusted else STRANGER)
            method = case.calls[0].partition(" ")[0]
            answers = [answer.status for answer in responses(raw, method)]
            _equal(answers, [200] * (len(case.calls) + 1), f"answers, sent {way}")
            calls = self._calls()
            _equal([call["request"] for call in calls], [*case.calls, _PIPELINED], f"requests, sent {way}")
            _equal(calls[0]["body"], (case.body or b"").decode("latin-1"), f"body, sent {way}")
            for key, value in case.environ.items():
                _equal(calls[0]["environ"].get(key), value, f"{key} in the environ, sent {way}")

    @_try.register
    def _try_cut(self, case: Cut) -> None:
        for way, pieces in ways_to_split(case.data).items():
            raw = exchange(self.server.port, pieces, cut=True)
            if b"HTTP/1.1 2" in raw:
                raise Mismatch(f"a request that was cut short, sent {way}, was answered {raw[:40]!r}")
            errors = [call["error"] for call in self._calls()]
            _equal(errors, ["OSError"] * case.called, f"what the application read, sent {way}")

    @_try.register
    def _try_waiting(self, case: Waiting) -> None:
        raw = exchange_on_leave(self.server.port, case.head, None if case.body is None else case.body + LAST)
        leaves = raw.count(b"HTTP/1.1 100 ")
        _equal(leaves, 0 if case.body is None else 1, "times that leave was given")
        _equal(len(responses(raw)), leaves + 1, "answers")
        self._calls()

    @_try.register
    def _try_gone(self, case: Gone) -> None:
        for _ in range(3):
            reset(self.server.port, case.data)
        self._calls()

    @_try.register
    def _try_fault(self, case: Fault) -> None:
        mark = self.server.log.mark()
        request = f"{case.method} /fault/{case.page} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        raw = exchange(self.server.port, [request + LAST])
        if INJECTED.encode() in raw:
            raise Mismatch(f"it reached the client: {raw!r}")
        first, *others = responses(raw, case.method)
        _equal(first.status, case.status, "status")
        if case.head and case.head.encode() not in first.head.split(b"\r\n"):
            raise Mismatch(f"{case.head!r} is not in the head: {first.head!r}")
        _equal([answer.status for answer in others], [] if case.ends else [200], "answers behind it")
        if case.body is not None:
            _equal(first.raw_body, case.body, "body")
        _no_framing_of_nothing(first)
        _equal(len(self._calls()), 1 if case.ends else 2, "requests that the application saw")
        if case.log and not self.server.log.comes(rf"^(?=\S).*{re.escape(case.log)}", since=mark, within=2):
            raise Mismatch(f"the log does not say {case.log!r}")

    @_try.register
    def _try_sending(self, case: Sending) -> None:
        raw = exchange_while_sending(self.server.port, case.head, (LAST * (case.rest // len(LAST) + 1))[: case.rest])
        _equal([answer.status for answer in responses(raw)], [case.status], "answers")
        [answer] = responses(raw)
        if f"content-length: {len(answer.raw_body)}".encode() not in answer.head.lower():
            raise Mismatch(f"the answer did not come whole: {raw!r}")
        if _PIPELINED in [call["request"] for call in self._calls()]:
            raise Mismatch("a request was read behind it")

    def _calls(self) -> list[dict[str, Any]]:
        told = self._ask()
        _equal(told["pid"], self._worker, "pid of the worker")
        calls: list[dict[str, Any]] = told["calls"]
        return calls

    def _ask(self) -> dict[str, Any]:
        try:
            reply = self._control.get("/seen")
        except (AssertionError, OSError):  # it idled for too long, or the worker is another one
            self._control.close()
            self._control = self.server.connect()
            reply = self._control.get("/seen")
        told: dict[str, Any] = json.loads(reply.body)
        return told


def _equal(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise Mismatch(f"{what}: {found!r}, and must be {expected!r}")


def _no_framing_of_nothing(answer: Response) -> None:
    """RFC 9110 section 8.6, RFC 9112 section 6.1: a 204 has neither length nor coding."""
    head = answer.head.lower()
    if answer.status == 204 and (b"\r\ncontent-length:" in head or b"\r\ntransfer-encoding:" in head):
        raise Mismatch(f"a 204 with framing: {answer.head!r}")

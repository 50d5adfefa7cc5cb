"""The command that prints the table: it says what passed, and does not pass what must not."""

from __future__ import annotations

import pytest

from tests.refusals import dialogue
from tests.refusals.__main__ import main
from tests.refusals.case import Case, Cut, Fault, Refused, Sending, Understood, Waiting
from tests.refusals.catalog import GROUPS
from tests.refusals.chunks import HEAD as CHUNKED
from tests.refusals.framing import post

GOOD = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

# What a server that is right makes of these is not what they demand.
WRONG: tuple[Case, ...] = (
    Refused("accepted", "", GOOD),
    Refused("refused otherwise", "", b"GET /\x00", 414),
    Refused("refused behind a good one", "", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\x00"),
    Understood("refused", "", b"GET / HTTP/1.1\r\n\r\n"),
    Understood("of another body", "", post(b"Content-Length: 5", body=b"hello"), ("POST /",), b"hell"),
    Understood("of another environ", "", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", environ={"HTTP_HOST": "b"}),
    Cut("complete", "", post(b"Content-Length: 5", body=b"hello"), called=True),
    Cut("broken rather than cut", "", CHUNKED + b"0x5\r\n", called=True),
    Waiting("leave for what is too large", "", post(b"Expect: 100-continue", b"Content-Length: 5"), None),
    Fault("answered", "", "length-kept", 500),
    Fault("kept", "", "length-304", 304, body=b""),
    Fault("said otherwise in the log", "", "raises", log="in vain"),
    Sending("answered otherwise", "", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 413, 1),
)


def test_table_of_what_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each chosen case with a cell for each class, the sum, and 0."""
    assert main(["-k", r"Host: a (path|query) \(", "sync", "threaded"]) == 0

    titles, group, path, query, _, summary = capsys.readouterr().out.splitlines()
    assert titles.split() == ["sync", "threaded"]
    assert group == "HOST"
    assert path.split() == ["Host:", "a", "path", "RFC", "9112", "3.2", "pass", "pass"]
    assert query.endswith("pass  pass")
    assert summary == "2 cases; passed: sync 2 of 2, threaded 2 of 2"


def test_table_of_what_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A case whose demand is not met says FAIL in its line and why behind the table, and the command ends with 1."""
    monkeypatch.setattr(dialogue, "DEADLINE", 1.0)
    for title in list(GROUPS):
        monkeypatch.delitem(GROUPS, title)
    monkeypatch.setitem(GROUPS, "Wrong", WRONG)

    assert main(["sync"]) == 1

    told = capsys.readouterr()
    assert [line for line in told.out.splitlines() if line.endswith("pass")] == []
    assert told.out.endswith(f"{len(WRONG)} cases; passed: sync 0 of {len(WRONG)}\n")
    assert [line.split(": ")[:3] for line in told.err.splitlines()] == [["sync", "Wrong", case.name] for case in WRONG]

"""Every payload through every proxy, and what the comparison of their logs would find."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.proxies.__main__ import main
from tests.proxies.fronts import APACHE, HAPROXY, KINDS, NGINX, Forwarded, Kind
from tests.proxies.payloads import PAYLOADS
from tests.proxies.trial import Outcome, Seen, compare, try_out

FEW = PAYLOADS[::25]


def through(kind: Kind, *values: object) -> object:
    name = "-".join([kind.name, *map(str, values)])
    return pytest.param(kind, *values, id=name, marks=pytest.mark.program(kind.program))


@pytest.mark.parametrize("kind", [through(kind) for kind in KINDS if kind is not NGINX])
def test_every_payload_through_a_proxy(kind: Kind, tmp_path: Path) -> None:
    """The application sees exactly what the proxy passed on, and nobody's answer is another one's."""
    outcome = try_out(kind, "sync", PAYLOADS, tmp_path)

    assert outcome.faults == {}
    # It was a trial: some payloads came through, some were refused behind the proxy, and connections were shared.
    assert outcome.answered > 1.4 * len(PAYLOADS)
    assert outcome.refused > 0
    assert kind.unix or outcome.shared > len(PAYLOADS) / 2


@pytest.mark.parametrize("worker", ["threaded", "gevent", "eventlet"])
@pytest.mark.parametrize("kind", [through(kind) for kind in (NGINX, HAPROXY, APACHE)])
def test_some_payloads_on_other_classes(kind: Kind, worker: str, tmp_path: Path) -> None:
    """The same holds for the other worker classes."""
    if worker in ("gevent", "eventlet"):
        pytest.importorskip(worker)
    outcome = try_out(kind, worker, FEW, tmp_path)

    assert outcome.faults == {}
    assert outcome.answered > len(FEW)


@pytest.mark.program(*{kind.program for kind in KINDS})
def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each proxy, and 0."""
    assert main(["-k", "^two requests$", "sync"]) == 0

    told = capsys.readouterr()
    titles, *rows = told.out.splitlines()
    assert titles.startswith("proxy")
    assert [re.split("  +", row)[:6] for row in rows] == [[kind.name, "sync", "1", "pass", "4", "0"] for kind in KINDS]
    assert told.err == ""


ASKED = Forwarded(4001, "one", 200, "POST /a")
BEHIND = Forwarded(4002, "two", 200, "GET /victim/0")
REFUSED = Forwarded(4001, "three", 400, "GET /b")
SAW_ASKED = Seen("one", "POST", "/a")
SAW_BEHIND = Seen("two", "GET", "/victim/0")


@pytest.mark.parametrize(
    ("forwarded", "seen", "refused", "fault"),
    [
        ([ASKED, BEHIND], [SAW_ASKED, SAW_BEHIND], 0, None),
        ([ASKED, BEHIND, REFUSED], [SAW_ASKED, SAW_BEHIND], 1, None),
        ([ASKED, BEHIND], [SAW_ASKED, Seen("", "GET", "/b"), SAW_BEHIND], 0, "which the proxy did not pass on"),
        ([ASKED, BEHIND], [SAW_ASKED, SAW_ASKED, SAW_BEHIND], 0, "twice"),
        ([ASKED, BEHIND], [Seen("one", "POST", "/other"), SAW_BEHIND], 0, "the application saw POST /other"),
        ([ASKED, BEHIND], [Seen("one", "GET", "/a"), SAW_BEHIND], 0, "the application saw GET /a"),
        ([ASKED, BEHIND], [SAW_BEHIND], 0, "not by the application"),
        ([ASKED, BEHIND], [SAW_ASKED, SAW_BEHIND], 1, "1 requests were refused, and the proxy knows of 0"),
        ([Forwarded(4001, "one", 200, "GET /smuggled")], [Seen("one", "GET", "/smuggled")], 0, "stood in a body"),
        ([ASKED, ASKED], [SAW_ASKED], 0, "several requests one name"),
    ],
)
def test_comparison(forwarded: list[Forwarded], seen: list[Seen], refused: int, fault: str | None) -> None:
    """Whatever one side knows of and the other does not is found."""
    outcome = Outcome(1)
    compare(forwarded, seen, refused, {4001: "payload", 4002: "behind"}, outcome)

    found = [what for faults in outcome.faults.values() for what in faults]
    assert found == [] if fault is None else len(found) == 1 and fault in found[0]

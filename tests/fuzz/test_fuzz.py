"""A part of what ``python -m tests.fuzz`` does, and hypothesis, which looks elsewhere and makes what it finds small."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.batches import examine
from tests.fuzz.streams import SEEDS, TOKENS
from tests.fuzz.verdicts import LIMITS, check
from workerkit.http.fields import FieldsCache

_CACHE = FieldsCache(LIMITS)
_ROOT = Path(__file__).resolve().parents[2]

lines = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=20).map(b"".join)
heads = st.just(b"POST / HTTP/1.1\r\nHost: a\r\n") | st.just(b"")
streams = st.tuples(heads, st.sampled_from(SEEDS) | st.just(b""), lines).map(b"".join) | st.binary(max_size=60)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(streams, st.lists(st.integers(0, 2000), max_size=4))
def test_parser_has_one_verdict_on_whatever_comes(data: bytes, places: list[int]) -> None:
    """However a stream is split, and known or not, it is taken for the same, and what is accepted is in order."""
    check(data, places, _CACHE)


def test_streams_of_the_grammar() -> None:
    """A thousand streams hold requests and refusals in numbers, and break nothing."""
    report = examine(seed=2, first=0, count=1000)

    assert report.failures == {}
    assert report.events["request"] > 200
    assert {"400", "413", "414", "417", "431", "501", "505", "incomplete"} <= set(report.events)


def test_command_checks_streams_in_other_processes() -> None:
    """The command ends with 0 and says what it saw."""
    done = run(
        [sys.executable, "-m", "tests.fuzz", "--streams", "40", "--processes", "2"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 streams, seed 1: ")
    assert "0 failures" in done.stdout

"""The page of the reference that lists the cases: ``python -m tests.refusals.page`` writes it."""

from __future__ import annotations

from pathlib import Path

from tests.refusals.case import Case, Cut, Fault, Gone, Refused, Sending, Understood, Waiting
from tests.refusals.catalog import GROUPS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "refusals.md"

_TOP = """\
# What is refused

<!-- Written by `python -m tests.refusals.page` from the cases in tests/refusals. Change those, then run it again. -->

A request that could mean two things to two programs is refused, whoever sent it. The answer leaves as soon as the byte
that settles it has arrived, says what is wrong, and is the last on its connection: nothing behind that byte is ever
read as a request. A client that still sends gets the whole answer, not a reset.

These are all cases that are tried, on every worker class, each whole, byte by byte and in random pieces:

<!-- not run: it takes half a minute -->
```console
$ python3 -m tests.refusals sync threaded gevent eventlet
```

It prints cases by worker classes, and ends with 0 if all passed; `-k PATTERN` chooses some. What is longer than a
limit is refused too: [the limits](settings.md#http-limits) are settings, and the cases count on their defaults.

A number is the status of the answer, after which the connection is closed. *Understood* means that what looks wrong is
valid, or ignored, and means no more than it says.
"""


def text() -> str:
    """Return the page."""
    return f"{_TOP}\n" + "\n".join(_section(title, cases) for title, cases in GROUPS.items())


def _section(title: str, cases: tuple[Case, ...]) -> str:
    rows = "\n".join(f"| {_escaped(case.name)} | {_outcome(case)} | {case.source} |" for case in cases)
    return f"## {title}\n\n| case | outcome | source |\n| --- | --- | --- |\n{rows}\n"


def _outcome(case: Case) -> str:
    match case:
        case Refused():
            return str(case.status)
        case Understood():
            return "understood"
        case Cut():
            return "`OSError` for the application" if case.called else "the application is not called"
        case Waiting():
            return "an answer and the end" if case.body is None else "one 100"
        case Gone():
            return "nobody else notices"
        case Sending():
            return f"{case.status}, whole"
        case Fault():
            return f"{case.status}, {'closed' if case.ends else 'kept'}"


def _escaped(name: str) -> str:
    for character in "\\_*|`<>[]":
        name = name.replace(character, f"\\{character}")
    return name


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")

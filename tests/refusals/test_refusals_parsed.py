"""Every case of which the parser alone can tell: whole, byte by byte and in random pieces, with one verdict."""

from __future__ import annotations

import pytest

from tests.refusals.case import LIMITS, Cut, Refused, Understood
from tests.refusals.catalog import GROUPS
from tests.unit.http.feeding import converse, every_way, summary
from workerkit.http.fields import FieldsCache

LAST = b"GET /pipelined HTTP/1.1\r\nHost: a\r\n\r\n"


def cases(kind: type[Refused | Understood | Cut]) -> list[object]:
    return [
        pytest.param(case, id=f"{title}: {case.name} ({case.source})")
        for title, group in GROUPS.items()
        for case in group
        if isinstance(case, kind) and not (isinstance(case, Refused) and case.trusted)
    ]


@pytest.mark.parametrize("case", cases(Refused))
def test_refused_case_is_refused_at_once(case: Refused) -> None:
    """The status is there with the last byte of the case, and a request behind it is never read."""
    for data in (case.data, case.data + LAST):
        *before, status = summary(every_way(data, LIMITS))

        assert status == case.status
        assert len(before) == case.answered


@pytest.mark.parametrize("case", cases(Refused))
def test_refused_case_is_refused_among_known_fields(case: Refused) -> None:
    """A reader that remembers fields, as it does on connections that stay, gives the very same answer."""
    cache = FieldsCache(LIMITS)
    converse([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], LIMITS, cache)
    converse([b"GET / HTTP/1.0\r\n\r\n"], LIMITS, cache)

    for _ in range(2):
        assert converse([case.data], LIMITS, cache) == converse([case.data], LIMITS)


@pytest.mark.parametrize("case", cases(Understood))
def test_understood_case_means_what_it_says(case: Understood) -> None:
    """As many requests as the case has, with the body it has, and the request behind it."""
    first, *others = every_way(case.data + LAST, LIMITS)

    assert first[0] == "request"
    assert case.body is None or first[2] == case.body
    assert len(others) == len(case.calls)
    assert summary(others)[-1] == "GET /pipelined"


@pytest.mark.parametrize("case", cases(Cut))
def test_cut_case_is_never_complete(case: Cut) -> None:
    """However it is split, no request comes out of it."""
    assert summary(every_way(case.data, LIMITS)) == ["incomplete"]

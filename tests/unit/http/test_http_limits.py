"""The options of the limits."""

from __future__ import annotations

from dataclasses import fields

import pytest

from workerkit.http.limits import HttpLimits


@pytest.mark.parametrize("field", fields(HttpLimits), ids=lambda field: field.name)
def test_a_limit_is_described_and_checked(field: object) -> None:
    """Each has a help text, and refuses a negative number."""
    metadata = field.metadata  # type: ignore[attr-defined]

    assert metadata["help"].endswith(".")
    metadata["check"](0)
    with pytest.raises(ValueError, match="0 or more"):
        metadata["check"](-1)


def test_limits_are_facts() -> None:
    """They cannot change while requests are read by them, and equal ones are equal."""
    limits = HttpLimits()

    assert limits == HttpLimits()
    with pytest.raises(AttributeError):
        limits.limit_request_line = 1  # type: ignore[misc]

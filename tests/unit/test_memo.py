"""The bounded memo."""

from __future__ import annotations

import pytest

from workerkit.memo import Memo


def test_a_value_is_computed_once() -> None:
    """The second look at a key costs no computation."""
    computed: list[str] = []

    def compute(key: str) -> str:
        computed.append(key)
        return key.upper()

    memo = Memo(compute, 10)

    assert [memo["a"], memo["b"], memo["a"]] == ["A", "B", "A"]
    assert computed == ["a", "b"]


def test_a_full_memo_starts_again() -> None:
    """It never holds more than its size, and goes on giving the right answers."""
    memo = Memo(str, 3)

    for key in range(10):
        assert memo[key] == str(key)
        assert len(memo) <= 3


def test_an_error_is_not_kept() -> None:
    """What raises is computed again, and takes no room."""
    memo = Memo(int, 3)

    for _ in range(2):
        with pytest.raises(ValueError):
            memo["x"]

    assert len(memo) == 0

"""How many arguments a callable takes, by its signature."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from workerkit.signatures import ANY, UNKNOWN, Arity, arity_of


def two(first: object, second: object) -> None: ...


def one_or_two(first: object, second: object = None) -> None: ...


def any_number(*arguments: object, **named: object) -> None: ...


def by_name(first: object, *, second: object) -> None: ...


def unresolvable(first: "ThereIsNoSuchType") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037


class Method:
    def __call__(self, first: object) -> None: ...


@functools.wraps(two)
def wrapper(*arguments: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "arity"),
    [
        (two, Arity(2, 2)),
        (one_or_two, Arity(1, 2)),
        (any_number, Arity(0, ANY)),
        (by_name, Arity(1, 1, by_name=True)),
        (unresolvable, Arity(1, 1)),
        (Method(), Arity(1, 1)),
        (functools.partial(two, 1), Arity(1, 1)),
        (wrapper, Arity(2, 2)),
        (type, UNKNOWN),
    ],
)
def test_arity(function: Callable[..., Any], arity: Arity) -> None:
    """Places count, with defaults or without; what is taken by name, or kept secret, is said."""
    assert arity_of(function) == arity


def test_wrapper() -> None:
    """What is called may take something else than what it wraps."""
    assert arity_of(wrapper, follow_wrapped=False) == Arity(0, ANY)


@pytest.mark.parametrize(
    ("arity", "counts"),
    [(Arity(1, 2), [1, 2]), (Arity(0, 0), [0]), (Arity(2, ANY), [2, 3]), (Arity(1, 1, by_name=True), [])],
)
def test_fits(arity: Arity, counts: list[int]) -> None:
    """From as many as are needed to as many as there is room for, unless something must be named."""
    assert [count for count in range(4) if arity.fits(count)] == counts

"""How many arguments a callable of somebody else's takes, so that the wrong one is named at the start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from workerkit.records import Record

ANY = sys.maxsize
"""As many as one likes."""


class Arity(Record):
    """What may stand between the parentheses of a call.

    ``needed`` to ``at_most`` arguments by place; ``by_name``: and others, by name, or it cannot be called.
    """

    needed: int
    at_most: int
    by_name: bool = False

    def fits(self, count: int) -> bool:
        """Return whether it can be called with so many arguments by place, and nothing else."""
        return self.needed <= count <= self.at_most and not self.by_name


UNKNOWN = Arity(0, ANY)
"""Of what keeps its signature to itself: it will say itself what it does not take."""


def arity_of(function: Callable[..., Any], *, follow_wrapped: bool = True) -> Arity:
    """Return the arity of a callable.

    Args:
        function: Whatever can be called.
        follow_wrapped: Look at what a decorator wraps, and not at what it has made of that, which is called.
    """
    import inspect  # noqa: PLC0415  the dataclasses module has imported it already

    try:
        parameters = inspect.signature(function, follow_wrapped=follow_wrapped).parameters.values()
    except (TypeError, ValueError, NameError):  # written in C, or annotated with what only a type checker knows
        return UNKNOWN
    by_place = [one for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    return Arity(
        needed=sum(one.default is one.empty for one in by_place),
        at_most=ANY if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(by_place),
        by_name=any(one.kind is one.KEYWORD_ONLY and one.default is one.empty for one in parameters),
    )

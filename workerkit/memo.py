"""A bounded memo of a pure function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memo(dict[Key, Value]):
    """``memo[key]`` is ``compute(key)``, computed once; emptied when ``size`` keys are kept.

    Emptying beats dropping the oldest: keys that come round in turn, a few more than fit, would then always have
    just been dropped. What raises is not kept. Threads may share one: the worst of a race is computing twice.
    """

    __slots__ = ("_compute", "_size")

    def __init__(self, compute: Callable[[Key], Value], size: int) -> None:
        super().__init__()
        self._compute = compute
        self._size = size

    def __missing__(self, key: Key) -> Value:
        value = self._compute(key)
        if len(self) >= self._size:
            self.clear()
        self[key] = value
        return value

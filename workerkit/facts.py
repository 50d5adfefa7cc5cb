"""Facts: immutable records of one vocabulary, such as the messages or the events, told apart by their kind.

``Spawn(0)`` and ``Stop(0)`` differ, as dataclasses do and named tuples do not. But ``@dataclass`` compiles half a
dozen methods for each class that it decorates, 0.4 ms of every start, and there are twenty kinds; here the methods
are written once. Options stay dataclasses, since settings are derived from their fields; a record that stands for
itself is a ``NamedTuple``.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn, dataclass_transform


@dataclass_transform(frozen_default=True)
class Fact:
    """The base of a kind of fact: its annotations are its fields, in that order. None has a default."""

    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        fields = (*cls.__match_args__, *cls.__annotations__)
        cls.__match_args__ = fields  # type: ignore[misc]  # mypy takes it for the one that dataclass() makes

    def __init__(self, *values: object, **named: object) -> None:
        names = self.__match_args__
        given = dict(zip(names, values, strict=False), **named)
        if len(values) + len(named) != len(names) or given.keys() != set(names):
            raise TypeError(f"{type(self).__name__} takes ({', '.join(names)}), not {values} and {named}")
        vars(self).update(given)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *(vars(self)[name] for name in self.__match_args__)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={vars(self)[name]!r}" for name in self.__match_args__)
        return f"{type(self).__name__}({fields})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

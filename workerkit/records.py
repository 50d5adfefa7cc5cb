"""Records: what is known of something, under names, and does not change.

``Spawn(0)`` and ``Stop(0)`` differ, as dataclasses do and named tuples do not. But ``@dataclass`` compiles half a dozen
methods for each class that it decorates, and ``NamedTuple`` one method and each annotation; with some sixty kinds that
is a third of a megabyte and 20 ms of every start. Here the methods are written once. Options stay dataclasses, since
settings are derived from their fields; what is made on the request path, or taken apart, stays a ``NamedTuple``.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Record:
    """The base of a kind of record: its annotations are its fields, in that order, and may have defaults."""

    __match_args__: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, object]] = {}

    def __init_subclass__(cls) -> None:
        fields = (*cls.__match_args__, *cls.__annotations__)
        cls.__match_args__ = fields  # type: ignore[misc]  # mypy takes it for the one that dataclass() makes
        cls._defaults = cls._defaults | {name: vars(cls)[name] for name in fields if name in vars(cls)}

    def __init__(self, *values: object, **named: object) -> None:
        names = self.__match_args__
        given = dict(zip(names, values, strict=False), **named)
        known = self._defaults | given
        if len(given) < len(values) + len(named) or len(known) > len(names) or not known.keys() >= set(names):
            raise TypeError(f"{type(self).__name__} takes ({', '.join(names)}), not {values} and {named}")
        vars(self).update(known)

    def replace(self, **changes: Any) -> Self:
        """Return another one that differs in these fields."""
        return type(self)(**(vars(self) | changes))

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

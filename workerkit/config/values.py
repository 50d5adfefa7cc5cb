"""Kinds of values: how text becomes a value, and which ready values are one.

A kind is found from a field's annotation, as text, so that nothing has to be imported or evaluated to learn
it. Text comes from flags and variables; configuration files and keyword arguments give ready values as
well.
"""

from __future__ import annotations

import math
import os
import string
from collections.abc import Callable, Mapping

from workerkit.records import Record

_TRUE = frozenset({"yes", "true", "on", "1"})
_FALSE = frozenset({"no", "false", "off", "0"})
_SECONDS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600}
_BYTES = {"": 1, "b": 1} | {
    prefix + suffix: 1024**power for power, prefix in enumerate("kmg", 1) for suffix in ("", "b", "ib")
}


class Kind(Record):
    """One kind of value.

    ``parse`` reads text and ``take`` looks at a ready value; both raise ``ValueError`` for what is not of
    this kind. ``expected`` completes the sentence "expected …".
    """

    name: str
    expected: str
    metavar: str
    parse: Callable[[str], object]
    take: Callable[[object], object]
    optional: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether a flag may be given several times, one item each."""
        return self.name == "list"

    def convert(self, value: object) -> object:
        """Return ``value``, text or ready, as this kind; a ``ValueError`` says what was expected."""
        if value is None and self.optional:
            return None
        try:
            return self.parse(value) if isinstance(value, str) else self.take(value)
        except (ValueError, OverflowError):
            raise ValueError(f"expected {self.expected}, got {value!r}") from None


def kind_of(annotation: object, unit: str | None = None) -> Kind | None:
    """Return the kind that ``annotation`` (text or a type) stands for, or None if it is not one of ours."""
    parts = _annotation_text(annotation).replace(" ", "").split("|")
    names = [part for part in parts if part != "None"]
    kind = _KINDS.get((names[0], unit if names[0] in {"int", "float"} else None)) if len(names) == 1 else None
    return kind.replace(optional=True) if kind and len(names) < len(parts) else kind


def show_size(size: int) -> str:
    """Return a number of bytes as a person would write it: ``65536`` is ``64k``."""
    for suffix, unit in (("g", 1024**3), ("m", 1024**2), ("k", 1024)):
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def _annotation_text(annotation: object) -> str:
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation)


def _parse_switch(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _take_switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _parse_text(text: str) -> str:
    return text


def _take_text(value: object) -> str:
    if not isinstance(value, os.PathLike):  # a configuration file in Python may well use pathlib
        raise ValueError
    return _parse_text(os.fspath(value))


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _take_list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(item if isinstance(item, str) else _take_text(item) for item in value)


def _parse_table(text: str) -> Mapping[str, str]:
    raise ValueError(text)


def _take_table(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for item in value.items() for part in item):
        raise ValueError
    return dict(value)


def _parse_function(text: str) -> Callable[..., object]:
    raise ValueError(text)


def _take_function(value: object) -> Callable[..., object]:
    if not callable(value):
        raise ValueError
    return value


def _take_number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return value


def _take_whole(value: object) -> int:
    number = _take_number(value)
    if not isinstance(number, int):
        raise ValueError
    return number


def _take_decimal(value: object) -> float:
    return float(_take_number(value))


def _take_measure(value: object) -> float:
    return _not_negative(_take_decimal(value))


def _take_whole_measure(value: object) -> int:
    return _only_whole(_not_negative(_take_whole(value)))


def _parse_decimal(text: str) -> float:
    return _take_decimal(float(text))


def _seconds(text: str) -> float:
    return _not_negative(_measured(text, _SECONDS))


def _whole_seconds(text: str) -> int:
    return _only_whole(_seconds(text))


def _size(text: str) -> int:
    return _only_whole(_not_negative(_measured(text, _BYTES)))


def _measured(text: str, scale: Mapping[str, float]) -> float:
    """Return the number that ``text``, such as ``64k`` or ``500ms``, is in the base unit of ``scale``."""
    text = text.strip()
    digits = text.rstrip(string.ascii_letters)
    suffix = text[len(digits) :].lower()
    if suffix not in scale:
        raise ValueError
    return float(digits) * scale[suffix]


def _only_whole(number: float) -> int:
    if number != int(number):
        raise ValueError
    return int(number)


def _not_negative(number: float) -> float:
    if number < 0:
        raise ValueError
    return number


_IN_SECONDS = "a number of seconds (such as 30, 500ms or 2m)"
_IN_BYTES = "a number of bytes (such as 4096, 64k or 1m)"
_FUNCTION = "a function, which only a Python configuration file or a keyword argument can give"

_KINDS: Mapping[tuple[str, str | None], Kind] = {
    ("bool", None): Kind("yes/no", "yes or no", "", _parse_switch, _take_switch),
    ("str", None): Kind("text", "text", "TEXT", _parse_text, _take_text),
    ("tuple[str,...]", None): Kind("list", "text or a list of texts", "TEXT", _parse_list, _take_list),
    ("dict[str,str]", None): Kind("table", "a table of texts, in a file", "", _parse_table, _take_table),
    ("Callable[...,object]", None): Kind("function", _FUNCTION, "", _parse_function, _take_function),
    ("int", None): Kind("whole number", "a whole number", "N", int, _take_whole),
    ("int", "seconds"): Kind("seconds", _IN_SECONDS, "SECONDS", _whole_seconds, _take_whole_measure),
    ("int", "bytes"): Kind("bytes", _IN_BYTES, "SIZE", _size, _take_whole_measure),
    ("float", None): Kind("number", "a number", "N", _parse_decimal, _take_decimal),
    ("float", "seconds"): Kind("seconds", _IN_SECONDS, "SECONDS", _seconds, _take_measure),
}

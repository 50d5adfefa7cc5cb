"""Text and ready values, one kind at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from workerkit.config.values import kind_of, show_size

GOOD = [
    ("bool", None, "yes", True),
    ("bool", None, "TRUE", True),
    ("bool", None, "on", True),
    ("bool", None, "1", True),
    ("bool", None, "no", False),
    ("bool", None, "Off", False),
    ("bool", None, "0", False),
    ("bool", None, False, False),
    ("int", None, "02", 2),
    ("int", None, "-3", -3),
    ("int", None, 7, 7),
    ("int", "seconds", "2m", 120),
    ("int", "seconds", "0", 0),
    ("int", "bytes", "64k", 65536),
    ("int", "bytes", "1M", 1048576),
    ("int", "bytes", "1.5k", 1536),
    ("int", "bytes", "2GiB", 2 * 1024**3),
    ("int", "bytes", "10b", 10),
    ("float", None, "0.25", 0.25),
    ("float", None, 1, 1.0),
    ("float", "seconds", "500ms", 0.5),
    ("float", "seconds", " 30 ", 30.0),
    ("float", "seconds", "1h", 3600.0),
    ("float", "seconds", 1.5, 1.5),
    ("str", None, " a b ", " a b "),
    ("str", None, Path("run/pid"), "run/pid"),
    ("tuple[str, ...]", None, "a, b,", ("a", "b")),
    ("tuple[str, ...]", None, ["a,b", "c"], ("a,b", "c")),
    ("tuple[str, ...]", None, [Path("x")], ("x",)),
    ("dict[str, str]", None, {"a": "b"}, {"a": "b"}),
    ("str | None", None, None, None),
    ("None | int", None, "4", 4),
]
BAD = [
    ("bool", None, "maybe", "expected yes or no, got 'maybe'"),
    ("bool", None, 1, "expected yes or no, got 1"),
    ("int", None, "x", "expected a whole number, got 'x'"),
    ("int", None, 1.5, "expected a whole number, got 1.5"),
    ("int", None, True, "expected a whole number, got True"),
    ("int", None, None, "expected a whole number, got None"),
    ("int", "seconds", "1.5", "expected a number of seconds (such as 30, 500ms or 2m), got '1.5'"),
    ("int", "bytes", "1x", "expected a number of bytes (such as 4096, 64k or 1m), got '1x'"),
    ("int", "bytes", "0.3k", "expected a number of bytes (such as 4096, 64k or 1m), got '0.3k'"),
    ("int", "bytes", -1, "expected a number of bytes (such as 4096, 64k or 1m), got -1"),
    ("float", None, "nan", "expected a number, got 'nan'"),
    ("float", None, float("inf"), "expected a number, got inf"),
    ("float", "seconds", "-1", "expected a number of seconds (such as 30, 500ms or 2m), got '-1'"),
    ("float", "seconds", "inf", "expected a number of seconds (such as 30, 500ms or 2m), got 'inf'"),
    ("str", None, 3, "expected text, got 3"),
    ("tuple[str, ...]", None, 3, "expected text or a list of texts, got 3"),
    ("tuple[str, ...]", None, [3], "expected text or a list of texts, got [3]"),
    ("dict[str, str]", None, "a=b", "expected a table of texts, in a file, got 'a=b'"),
    ("dict[str, str]", None, {"a": 1}, "expected a table of texts, in a file, got {'a': 1}"),
]


@pytest.mark.parametrize(("annotation", "unit", "given", "value"), GOOD)
def test_a_value_of_its_kind_is_converted(annotation, unit, given, value):
    """Text and ready values become a value of the annotated type, and of that very type."""
    converted = kind_of(annotation, unit).convert(given)

    assert (converted, type(converted)) == (value, type(value))


@pytest.mark.parametrize(("annotation", "unit", "given", "message"), BAD)
def test_a_value_of_another_kind_is_refused(annotation, unit, given, message):
    """What is not of the kind raises ValueError, which says what was expected and what came."""
    with pytest.raises(ValueError) as caught:
        kind_of(annotation, unit).convert(given)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("annotation", "name"),
    [(int, "whole number"), (str, "text"), (tuple[str, ...], "list"), (str | None, "text"), ("dict[str,str]", "table")],
)
def test_types_serve_as_well_as_their_text(annotation, name):
    """Annotations that were evaluated (no ``from __future__ import annotations``) mean the same."""
    assert kind_of(annotation).name == name


@pytest.mark.parametrize("annotation", ["list[int]", "int | str", "Path", "Optional[str]", "None"])
def test_other_annotations_are_no_kind(annotation):
    """An annotation that is not one of ours gives None, so that the schema can explain it."""
    assert kind_of(annotation) is None


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0"), (8190, "8190"), (65536, "64k"), (3 * 1024**2, "3m"), (1024**3, "1g")]
)
def test_sizes_are_shown_in_the_largest_unit_that_divides_them(size, text):
    """A number of bytes is shown as a person would write it."""
    assert show_size(size) == text


def test_a_function_is_taken_and_text_is_none() -> None:
    """Only Python can give a function; the message says where."""
    kind = kind_of("Callable[..., object] | None")

    assert kind is not None
    assert (kind.name, kind.convert(print), kind.convert(None)) == ("function", print, None)
    with pytest.raises(ValueError, match=r"a Python configuration file or a keyword argument can give, got 'a:b'"):
        kind.convert("a:b")
    with pytest.raises(ValueError, match="got 3"):
        kind.convert(3)

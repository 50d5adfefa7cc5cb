"""Settings derived from options dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from toy_options import CoreOptions, GeventOptions

from workerkit.config.schema import Schema
from workerkit.errors import ConfigError


@pytest.fixture
def schema():
    return Schema.of(CoreOptions)


@pytest.mark.parametrize(
    ("name", "flags", "aliases"),
    [
        ("workers", ("-w", "--workers"), ()),
        ("keepalive", ("--keep-alive",), ("keep_alive",)),
        ("pidfile", ("-p", "--pid"), ("pid",)),
        ("worker_class", ("-k", "--worker-class"), ()),
        ("wsgi_app", (), ()),
        ("secure_scheme_headers", (), ()),
    ],
)
def test_flags_and_aliases_are_derived(schema, name, flags, aliases):
    """A long flag in the metadata replaces the derived one, a short one joins it, and a long one is an alias."""
    setting = schema.find(name)

    assert (setting.flags, setting.aliases) == (flags, aliases)


def test_a_setting_is_found_by_name_alias_and_with_dashes(schema):
    """Names, aliases and their spelling with dashes lead to one setting; anything else to none."""
    assert {schema.find(key).name for key in ("keepalive", "keep_alive", "keep-alive")} == {"keepalive"}
    assert schema.find("keepaliv") is None


def test_the_nearest_name_is_suggested(schema):
    """A misspelt name gets its neighbour, a name like nothing gets none."""
    assert schema.nearest("workrs") == "workers"
    assert schema.nearest("zzz") is None


def test_headings_come_from_the_docstrings(schema):
    """The docstring's first line without its full stop is the heading; without docstring it is the section."""

    @dataclass(frozen=True)
    class Options:
        depth: int = 1

    extended = schema.extend(GeventOptions, section="gevent").extend(Options, section="trio")

    assert list(extended.headings()) == ["Worker processes", "Gevent workers", "trio"]
    assert extended.sections == {"gevent", "trio"}


def test_one_name_declared_twice_is_an_error():
    """Two classes that declare one name are both named."""

    @dataclass(frozen=True)
    class Other:
        timeout: float = 1.0

    with pytest.raises(ConfigError) as caught:
        Schema.of(CoreOptions, Other)

    assert str(caught.value) == (
        "the setting timeout is declared twice: by CoreOptions and by "
        "test_one_name_declared_twice_is_an_error.<locals>.Other"
    )


def test_one_flag_declared_twice_is_an_error():
    """Two settings of different names with one flag are an error too, the negative flags of switches included."""

    @dataclass(frozen=True)
    class Other:
        no_send: bool = field(default=False, metadata={"flags": ("--no-sendfile",)})

    with pytest.raises(ConfigError, match="the flag --no-sendfile is declared twice"):
        Schema.of(CoreOptions, Other)


def test_an_inherited_field_is_the_same_setting():
    """A plugin's options may inherit from ours: what they share is no clash and stays ours."""

    @dataclass(frozen=True, slots=True)
    class Derived(GeventOptions):
        """Derived."""

        more: int = 1

    extended = Schema.of(GeventOptions).extend(Derived, section="derived")

    assert [(setting.name, setting.section) for setting in extended] == [
        ("worker_connections", None),
        ("post_patch", None),
        ("more", "derived"),
    ]


def test_a_field_of_another_type_needs_a_parser():
    """An annotation that is not one of ours is refused with the list of those that are."""

    @dataclass(frozen=True)
    class Odd:
        level: set[str] = field(default_factory=set)

    with pytest.raises(ConfigError, match=r"Odd\.level: a setting cannot be a set\[str\]"):
        Schema.of(Odd)


def test_a_field_of_another_type_with_a_parser_is_a_setting():
    """With ``parse`` in its metadata, a field may have any type; ready values are taken as they are."""

    @dataclass(frozen=True)
    class Odd:
        level: set[str] = field(default_factory=set, metadata={"parse": set})

    setting = Schema.of(Odd).find("level")

    assert setting.check("ab") == {"a", "b"}
    assert setting.check({"c"}) == {"c"}


def test_a_field_without_default_is_refused():
    """Every setting has a default, since nobody has to give it."""

    @dataclass(frozen=True)
    class Odd:
        level: int

    with pytest.raises(ConfigError, match="a setting needs a default"):
        Schema.of(Odd)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("loglevel", "loud", "expected one of debug, info, got 'loud'"),
        ("workers", 0, "cannot be 0"),
        ("workers", "0", "cannot be 0"),
    ],
)
def test_choices_and_checks_are_applied(schema, name, value, message):
    """What the metadata does not allow raises ValueError with its reason, be it text or a ready value."""
    with pytest.raises(ValueError) as caught:
        schema.find(name).check(value)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("timeout", 30.0, "30"),
        ("limit", 65536, "64k"),
        ("bind", ("a", "b"), "a,b"),
        ("sendfile", True, "yes"),
        ("pidfile", None, ""),
        ("umask", 0o22, "0o22"),
        ("secure_scheme_headers", {"a": "b"}, "a = b"),
    ],
)
def test_values_are_shown_as_they_are_written(schema, name, value, text):
    """A value is shown as a person would write it after the flag."""
    assert schema.find(name).show(value) == text


def test_a_function_has_no_flag() -> None:
    """It is shown by its name."""

    @dataclass(frozen=True)
    class Options:
        when: Callable[..., object] | None = None

    (setting,) = Schema.of(Options)

    assert (setting.is_function, setting.flags, setting.show(print)) == (True, (), "print")

"""The settings of one run: every value, checked, and where it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from workerkit.config import layers
from workerkit.config.files import FileValues
from workerkit.config.layers import POOLS, Given, Layer, PoolTable
from workerkit.config.schema import Schema, Setting

Options = TypeVar("Options")

_NOTHING: Mapping[str, Any] = {}
_DEFAULT = "default"


class Settings:
    """Values by the settings' names, gathered from every source.

    A later source wins: default, platform variables (``WEB_CONCURRENCY``, ``PORT``), configuration file,
    ``WORKERKIT_<NAME>``, ``WORKERKIT_CMD_ARGS``, flags, keyword arguments of the library, a pool's own table.
    """

    def __init__(self, schema: Schema, given: Layer, warnings: tuple[str, ...] = ()) -> None:
        self.schema = schema
        self.warnings = warnings
        self.pools: dict[str, Settings] = {}
        """The settings of each pool by its name; empty: there is one pool, and these are its settings."""
        self._given = given
        self._values = {setting.name: _value(setting, given) for setting in schema}

    @classmethod
    def gather(
        cls,
        schema: Schema,
        flags: Mapping[str, object] = _NOTHING,
        environ: Mapping[str, str] = _NOTHING,
        file: FileValues | None = None,
        overrides: Mapping[str, object] = _NOTHING,
        *,
        other_sections: Callable[[], Iterable[str]] = tuple,
        known: Schema | None = None,
        pool: PoolTable | None = None,
    ) -> Settings:
        """Gather and check every setting.

        Args:
            schema: the settings that there are.
            flags: what the command line gave, as ``commandline.parse`` returns it.
            environ: the variables; an empty one counts as not set.
            file: the configuration file, if there is one.
            overrides: keyword arguments of the library, by name or alias.
            other_sections: names the plugins that are not in use and whose tables a TOML file may hold
                nevertheless.
            known: settings that the sources may hold besides, for others.
            pool: the pool whose settings these are, if there are several.

        Raises:
            ConfigError: something cannot be used; says what, where it came from and what was expected. It
                is a ``UsageError`` if it came from a command line.
        """
        known = schema if known is None else schema.union(known)
        given = (
            layers.from_platform(schema, environ)
            | (layers.from_file(schema, file, other_sections, known) if file else {})
            | layers.from_variables(schema, environ)
            | layers.from_words(known, environ, strict=True)
            | layers.from_flags(schema, flags)
            | layers.from_keywords(schema, overrides, known)
            | (layers.from_pool(schema, pool) if pool else {})
        )
        return cls(schema, given, _warnings(known, environ, file))

    @classmethod
    def peek(
        cls,
        name: str,
        schema: Schema,
        flags: Mapping[str, object] = _NOTHING,
        environ: Mapping[str, str] = _NOTHING,
        file: FileValues | None = None,
        *,
        overrides: Mapping[str, object] = _NOTHING,
        pool: PoolTable | None = None,
    ) -> object:
        """Return one setting's value, from the same sources, while the schema is still incomplete.

        The worker class decides which other settings there are, so it has to be known before the rest is
        gathered; what nobody knows yet is not refused yet. Arguments and errors as for ``gather``.
        """
        only = schema.only(name)
        (setting,) = only
        known = {key: value for key, value in file.values.items() if only.find(key)} if file else {}
        named = {key: value for key, value in overrides.items() if only.find(key)}
        given = (
            layers.from_platform(only, environ)
            | (layers.from_file(only, file.replace(values=known), tuple, only) if file else {})
            | layers.from_variables(only, environ)
            | {key: words for key, words in layers.from_words(schema, environ, strict=False).items() if key == name}
            | layers.from_flags(only, flags)
            | layers.from_keywords(only, named, only)
            | (layers.from_pool(only, pool) if pool else {})
        )
        return _value(setting, given)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def origin(self, name: str) -> str:
        """Return in words where the value of this setting came from."""
        given = self._given.get(name)
        return given.origin if given else _DEFAULT

    def build(self, options: type[Options]) -> Options:
        """Return an options dataclass, filled; raises ``KeyError`` for a field that is no setting."""
        fields = dataclasses.fields(options)  # type: ignore[arg-type]  # a dataclass, though the type cannot say so
        return options(**{field.name: self._values[field.name] for field in fields})

    def lines(self) -> list[str]:
        """Return every setting with its origin, as TOML, so that ``--print-config`` can become a file."""
        lines = self._lines()
        for name, settings in self.pools.items():
            own = [setting for setting in settings.schema if settings.origin(setting.name) != self.origin(setting.name)]
            lines += ["", f"[{POOLS}.{_key(name)}]", *(settings._line(setting) for setting in own)]
        return lines

    def _lines(self) -> list[str]:
        top = [setting for setting in self.schema if setting.section is None]
        lines = [self._line(setting) for setting in top]
        for section in sorted(self.schema.sections):
            own = [setting for setting in self.schema if setting.section == section]
            lines += [
                "",
                f"[{_key(section)}]",
                *(self._line(setting) for setting in own),
            ]
        return lines

    def _line(self, setting: Setting) -> str:
        value = self._values[setting.name]
        if value is None:
            return f"# {setting.name} is not set"
        if setting.is_function:
            return f"# {setting.name} is the function {setting.show(value)}, {self.origin(setting.name)}"
        text = setting.show(value) if "format" in setting.field.metadata else value
        return f"{setting.name} = {_toml(text)}  # {self.origin(setting.name)}"


def _value(setting: Setting, given: Layer) -> object:
    chosen: Given | None = given.get(setting.name)
    return chosen.check(setting) if chosen else setting.default


def _warnings(schema: Schema, environ: Mapping[str, str], file: FileValues | None) -> tuple[str, ...]:
    warnings = [
        f"variable {name} names no setting and is ignored; did you mean {meant}?"
        for name, meant in layers.misspelt_variables(schema, environ)
    ]
    ignored = layers.ignored_names(schema, file) if file else []
    if file and ignored:
        warnings.append(f"{file.name}: gunicorn settings that have no effect here: {', '.join(ignored)}")
    return tuple(warnings)


def _toml(value: object) -> str:
    import json  # noqa: PLC0415  for --print-config only; a JSON string is a TOML string

    if type(value) in {bool, int, float}:  # a range of numbers is a number too, which TOML does not know
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(str(value), ensure_ascii=False)


def _key(name: str) -> str:
    """Return ``name`` as TOML writes a key."""
    return name if name.isascii() and name.replace("-", "_").isidentifier() else _toml(name)

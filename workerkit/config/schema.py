"""Settings, derived from the options dataclasses that declare them.

A setting is declared once, as a field of a frozen dataclass beside the code that reads it. Its flags, its
key in a file, its variable, its row in the reference and its line in ``--help`` all come from here.

The field's metadata is a plain dict, so that declaring a setting imports nothing:

=================== ======================================================================================
``help``            what it does, in sentences; the first one is shown by ``--help``
``flags``           more spellings; a long one replaces the derived ``--name-with-dashes``
``aliases``         more names in files and keyword arguments, which no flag has
``unit``            ``"seconds"`` or ``"bytes"``: text may then say ``2m`` or ``64k``
``metavar``         how ``--help`` calls the value
``choices``         the values that are allowed
``variables``       variables of a platform, besides the derived ``WORKERKIT_<NAME>``
``variable_parse``  by such a variable: a callable that makes a value of its text
``parse``           a callable that makes a value of any text, in place of the one of the annotated type
``format``          its opposite, for ``--help`` and ``--print-config``
``check``           a callable that raises ``ValueError(message)`` for a value that cannot be
=================== ======================================================================================
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field

from workerkit import spelling
from workerkit.config.values import Kind, kind_of, show_size
from workerkit.errors import ConfigError
from workerkit.records import Record

POSITIONAL = "wsgi_app"
"""The one setting that the command line gives without a flag."""

_ACCEPTED = (
    "bool, int, float, str, tuple[str, ...], dict[str, str], Callable[..., object], or one of these | None"
)


# This class and its like are made at every start, at a tenth of what a frozen, slotted dataclass costs.
class Setting(Record):
    """One setting: what it is called in each place, and what it may be."""

    name: str
    flags: tuple[str, ...]
    kind: Kind
    default: object
    help: str
    heading: str
    section: str | None
    field: Field[object]
    owner: str
    metavar: str

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names that files and keyword arguments may use: the long flags, with underscores, and declared ones."""
        names = (flag[2:].replace("-", "_") for flag in self.flags if flag.startswith("--"))
        return (*(name for name in names if name != self.name), *self.field.metadata.get("aliases", ()))

    @property
    def flag(self) -> str:
        """The flag that messages name."""
        return next((flag for flag in self.flags if flag.startswith("--")), self.metavar)

    @property
    def negative(self) -> str | None:
        """The flag that switches a boolean setting off."""
        return f"--no-{self.flag[2:]}" if self.is_switch else None

    @property
    def variable(self) -> str:
        """The variable that is named after the setting."""
        return f"WORKERKIT_{self.name.upper()}"

    @property
    def is_function(self) -> bool:
        """Whether only Python can give it: neither a flag nor a variable nor a TOML file."""
        return self.kind.name == "function"

    @property
    def platform_variables(self) -> tuple[str, ...]:
        """Variables that hosting platforms set."""
        return tuple(self.field.metadata.get("variables", ()))

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that are allowed, if they can be listed."""
        return tuple(self.field.metadata.get("choices", ()))

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return self.kind.name == "yes/no"

    def check(self, value: object) -> object:
        """Return ``value``, text or ready, as a value of this setting.

        Raises:
            ValueError: it cannot be one; the message says what was expected and what came.
        """
        parse = self.field.metadata.get("parse")
        ready = parse(value) if parse and isinstance(value, str) else self.kind.convert(value)
        self._check_choices(ready)
        check = self.field.metadata.get("check")
        if check and ready is not None:
            check(ready)
        return ready

    def check_platform(self, variable: str, text: str) -> object:
        """Return the value that ``text`` in a platform's variable stands for; raises as ``check`` does."""
        parse = self.field.metadata.get("variable_parse", {}).get(variable)
        return self.check(parse(text) if parse else text)

    def show(self, value: object) -> str:
        """Return ``value`` as a person would write it after the flag; empty if there is nothing to write."""
        if value is None:
            return ""
        if "format" in self.field.metadata:
            return str(self.field.metadata["format"](value))
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, tuple):
            return ",".join(value)
        if isinstance(value, Mapping):
            return ", ".join(f"{key} = {text}" for key, text in value.items())
        if self.is_function:
            return str(getattr(value, "__qualname__", value))
        if isinstance(value, int) and self.kind.name == "bytes":
            return show_size(value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    def _check_choices(self, value: object) -> None:
        items = value if isinstance(value, tuple) else (value,)
        wrong = [item for item in items if item not in self.choices]
        if self.choices and wrong and value is not None:
            raise ValueError(f"expected one of {', '.join(self.choices)}, got {wrong[0]!r}")


class Schema:
    """The settings that are known, in the order in which they were declared."""

    def __init__(self, settings: tuple[Setting, ...] = ()) -> None:
        self._settings = settings
        self._by_key: dict[str, Setting] = {}
        flags: dict[str, Setting] = {}
        for setting in settings:
            _claim(self._by_key, (setting.name, *setting.aliases), setting, "setting")
            _claim(flags, (*setting.flags, *filter(None, (setting.negative,))), setting, "flag")

    @classmethod
    def of(cls, *option_classes: type, section: str | None = None) -> Schema:
        """Return the settings that these dataclasses declare.

        Args:
            option_classes: options dataclasses; every field is a setting.
            section: the plugin's name if they are a plugin's; its settings may then also stand in a table
                of that name.

        Raises:
            ConfigError: two of them declare one name or one flag, or a field cannot be a setting.
        """
        return cls().extend(*option_classes, section=section)

    def extend(self, *option_classes: type, section: str | None = None) -> Schema:
        """Return these settings and those of more dataclasses; arguments and errors as for ``of``.

        A field that a class inherits from one that is here already is the same setting, not a clash.
        """
        settings = list(self._settings)
        for options in option_classes:
            known = {id(setting.field) for setting in settings}
            fields = [field for field in dataclasses.fields(options) if id(field) not in known]
            settings += [_setting(field, options, section) for field in fields]
        return Schema(tuple(settings))

    def only(self, name: str) -> Schema:
        """Return one of these settings as a schema of its own; raises ``KeyError`` if there is no such setting."""
        return Schema((self._by_key[name],))

    def union(self, *others: Schema) -> Schema:
        """Return the settings of all these schemas; of those with one name, the first."""
        settings: dict[str, Setting] = {}
        for setting in (setting for schema in (self, *others) for setting in schema):
            settings.setdefault(setting.name, setting)
        return Schema(tuple(settings.values()))

    def __iter__(self) -> Iterator[Setting]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    @property
    def sections(self) -> frozenset[str]:
        """The names of the plugins whose settings are here."""
        return frozenset(setting.section for setting in self if setting.section)

    def headings(self) -> dict[str, list[Setting]]:
        """Return the settings by the heading that they stand under."""
        groups: dict[str, list[Setting]] = {}
        for setting in self:
            groups.setdefault(setting.heading, []).append(setting)
        return groups

    def keys(self) -> Iterable[str]:
        """Return every name and alias."""
        return self._by_key.keys()

    def find(self, key: str) -> Setting | None:
        """Return the setting with this name or alias, if there is one; dashes are underscores."""
        return self._by_key.get(key.replace("-", "_"))

    def nearest(self, key: str, cutoff: float = 0.6) -> str | None:
        """Return the name or alias that looks most like ``key``, if one does."""
        return spelling.nearest(key.replace("-", "_"), self.keys(), cutoff)


def _setting(field: Field[object], options: type, section: str | None) -> Setting:
    kind = _kind(field, options)
    metavar = field.metadata.get("metavar") or ("MODULE:APP" if field.name == POSITIONAL else kind.metavar)
    return Setting(
        name=field.name,
        flags=_flags(field, kind),
        kind=kind,
        default=_default(field, options),
        help=field.metadata.get("help", ""),
        heading=_heading(options, section),
        section=section,
        field=field,
        owner=options.__qualname__,
        metavar=metavar,
    )


def _kind(field: Field[object], options: type) -> Kind:
    kind = kind_of(field.type, field.metadata.get("unit"))
    if kind is None and "parse" in field.metadata:
        return Kind("text", "text", "TEXT", str, lambda value: value, optional=True)
    if kind is None:
        raise ConfigError(
            f"{options.__qualname__}.{field.name}: a setting cannot be a {field.type}.\n"
            f"It is {_ACCEPTED}; anything else needs 'parse' in its metadata."
        )
    return kind


def _flags(field: Field[object], kind: Kind) -> tuple[str, ...]:
    if field.name == POSITIONAL or kind.name in {"table", "function"}:
        return ()
    given = tuple(field.metadata.get("flags", ()))
    if any(flag.startswith("--") for flag in given):
        return given
    return (*given, "--" + field.name.replace("_", "-"))


def _default(field: Field[object], options: type) -> object:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        factory: Callable[[], object] = field.default_factory
        return factory()
    raise ConfigError(f"{options.__qualname__}.{field.name}: a setting needs a default")


def _heading(options: type, section: str | None) -> str:
    first = (options.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    if not first or first.startswith(f"{options.__name__}("):  # the docstring that dataclass() makes up
        return section or options.__name__
    return first


def _claim(taken: dict[str, Setting], names: tuple[str, ...], setting: Setting, what: str) -> None:
    for name in names:
        other = taken.setdefault(name, setting)
        if other is not setting:
            raise ConfigError(f"the {what} {name} is declared twice: by {other.owner} and by {setting.owner}")

"""Where values come from, one layer each: what was given, with the words that say where.

A layer is a mapping from a setting's name to what was given for it, unchecked: only the value that wins is
checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType

from workerkit.config import gunicorn_names
from workerkit.config.commandline import parse
from workerkit.config.files import FileOptions, FileValues
from workerkit.config.schema import Schema, Setting
from workerkit.errors import ConfigError, UsageError
from workerkit.records import Record
from workerkit.spelling import did_you_mean, nearest

POOLS = "pools"
"""The key of a file, and the keyword argument, that holds a table for each pool."""

WORDS_VARIABLE = "WORKERKIT_CMD_ARGS"
"""The variable that holds words of a command line."""

_NEAR_MISS = 0.8
_PREFIX = "WORKERKIT_"


class Given(Record):
    """What was given for a setting, where, and the error that it is if it cannot be used."""

    value: object
    origin: str
    error: type[ConfigError] = ConfigError
    platform_variable: str | None = None

    def check(self, setting: Setting) -> object:
        """Return the setting's value; raises ``self.error`` if this cannot be one."""
        try:
            if self.platform_variable is not None:
                return setting.check_platform(self.platform_variable, str(self.value))
            return setting.check(self.value)
        except ValueError as error:
            raise self.error(f"{setting.name}: {error} (from {self.origin})") from None


Layer = dict[str, Given]


class PoolTable(Record):
    """What is said for one pool alone."""

    name: str
    values: Mapping[str, object]
    place: str
    schema: Schema | None = None
    """What may be said for one pool; None: that is not known yet, and nothing is refused."""


def from_platform(schema: Schema, environ: Mapping[str, str]) -> Layer:
    """Return what the hosting platform's variables say; an empty variable says nothing."""
    return {
        setting.name: Given(environ[variable], f"variable {variable}", platform_variable=variable)
        for setting in schema
        for variable in setting.platform_variables
        if environ.get(variable)
    }


def from_variables(schema: Schema, environ: Mapping[str, str]) -> Layer:
    """Return what variables named after the settings say; an empty variable says nothing."""
    return {
        setting.name: Given(environ[setting.variable], f"variable {setting.variable}")
        for setting in schema
        if environ.get(setting.variable)
    }


def from_words(schema: Schema, environ: Mapping[str, str], *, strict: bool) -> Layer:
    """Return what ``WORKERKIT_CMD_ARGS`` says; raises ``UsageError`` if it cannot be read."""
    text = environ.get(WORDS_VARIABLE)
    if not text:
        return {}
    known = schema.extend(FileOptions)  # it may name the file too, which was read before
    values = parse(_split(text), known, strict=strict, source=WORDS_VARIABLE)
    return {name: Given(value, WORDS_VARIABLE, UsageError) for name, value in values.items()}


def from_flags(schema: Schema, flags: Mapping[str, object]) -> Layer:
    """Return what the command line said."""
    named = {name: schema.find(name) for name in flags}
    return {
        name: Given(flags[name], f"flag {setting.flag}" if setting.flags else "the command line", UsageError)
        for name, setting in named.items()
        if setting
    }


def from_keywords(schema: Schema, overrides: Mapping[str, object], known: Schema) -> Layer:
    """Return what a caller of the library said; raises ``ConfigError`` for a name that is not ``known``."""
    layer = {}
    for key, value in overrides.items():
        setting = schema.find(key)
        if setting is None:
            if known.find(key):
                continue
            raise ConfigError(f"there is no setting {key!r}{did_you_mean(schema.nearest(key))}")
        layer[setting.name] = Given(value, f"keyword argument {key}")
    return layer


def from_pool(schema: Schema, pool: PoolTable) -> Layer:
    """Return what is said for one pool; raises ``ConfigError`` for what cannot be said there, or is said twice."""
    layer: Layer = {}
    for key, value in pool.values.items():
        setting = schema.find(key)
        if pool.schema is not None and (setting is None or pool.schema.find(key) is None):
            hint = "; it is for the whole server and belongs at the top level" if setting else ""
            raise ConfigError(
                f"{pool.place}: unknown key {key!r}{hint or did_you_mean(pool.schema.nearest(key))}"
            )
        if setting is not None and setting.name in layer:
            raise ConfigError(f"{pool.place}: {setting.name} is given twice, the second time as {key!r}")
        if setting is not None:
            layer[setting.name] = Given(value, pool.place)
    return layer


def from_file(
    schema: Schema, file: FileValues, other_sections: Callable[[], Iterable[str]], known: Schema
) -> Layer:
    """Return what a configuration file says.

    Args:
        schema: the settings to look for.
        file: what was read.
        known: settings, and so tables, of others, which are not looked for and no mistake.
        other_sections: names the plugins that are not in use, whose tables may stand in a TOML file; called
            only if there is such a table.

    Raises:
        ConfigError: a key is unknown, or says something twice.
    """
    layer: Layer = {}
    for key, value in file.values.items():
        setting = schema.find(key)
        if setting:
            _put(layer, setting, key, value, file)
        elif key == POOLS or known.find(key):
            continue
        elif file.is_python:
            _refuse_near_miss(schema, key, value, file)
        elif isinstance(value, dict) and key in schema.sections:
            _read_table(layer, schema, key, value, file)
        elif not (isinstance(value, dict) and (key in known.sections or key in other_sections())):
            names = {*schema.keys(), *schema.sections} if isinstance(value, dict) else schema.keys()
            raise ConfigError(f"{file.name}: unknown key {key!r}{did_you_mean(nearest(key, names))}")
    return layer


def ignored_names(schema: Schema, file: FileValues) -> list[str]:
    """Return gunicorn's settings and hooks that a Python file sets and that have no effect here."""
    if not file.is_python:
        return []
    return [
        key
        for key, value in file.values.items()
        if key in gunicorn_names.NAMES and schema.find(key) is None and not isinstance(value, ModuleType)
    ]


def misspelt_variables(schema: Schema, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return ``WORKERKIT_`` variables that name no setting, each with the one that was probably meant."""
    names = [name.removeprefix(_PREFIX).lower() for name in environ if name.startswith(_PREFIX)]
    pairs = [(name, schema.nearest(name, _NEAR_MISS)) for name in names if schema.find(name) is None]
    return [(_PREFIX + name.upper(), _PREFIX + meant.upper()) for name, meant in pairs if meant]


def _split(text: str) -> list[str]:
    """Split ``text`` as a shell would."""
    import shlex  # noqa: PLC0415  only those who set the variable pay for it

    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{WORDS_VARIABLE}: {error}") from None


def _read_table(layer: Layer, schema: Schema, section: str, table: dict[str, object], file: FileValues) -> None:
    own = Schema(tuple(setting for setting in schema if setting.section == section))
    for key, value in table.items():
        setting = own.find(key)
        if setting is None:
            hint = "; it belongs at the top level" if schema.find(key) else did_you_mean(own.nearest(key))
            raise ConfigError(f"{file.name}: unknown key {key!r} in [{section}]{hint}")
        _put(layer, setting, key, value, file)


def _put(layer: Layer, setting: Setting, key: str, value: object, file: FileValues) -> None:
    if setting.name in layer:
        raise ConfigError(f"{file.name}: {setting.name} is given twice, the second time as {key!r}")
    layer[setting.name] = Given(value, file.name)


def _refuse_near_miss(schema: Schema, key: str, value: object, file: FileValues) -> None:
    """Tell a misspelt setting from the file's own variables, functions and imports."""
    if key in gunicorn_names.NAMES or callable(value) or isinstance(value, ModuleType):
        return
    meant = schema.nearest(key, _NEAR_MISS)
    if meant:
        raise ConfigError(
            f"{file.name}: {key!r} is not a setting; did you mean {meant!r}?\n"
            f"A variable of the file's own that looks like a setting can be called _{key}."
        )

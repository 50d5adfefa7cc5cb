"""Which source wins, where a value came from, and what is said about what cannot be used."""

from __future__ import annotations

import tomllib

import pytest
from toy_options import CoreOptions, GeventOptions

from workerkit.config.files import FileValues
from workerkit.config.schema import Schema
from workerkit.config.settings import Settings
from workerkit.errors import ConfigError, UsageError

SCHEMA = Schema.of(CoreOptions)
WITH_GEVENT = SCHEMA.extend(GeventOptions, section="gevent")

# From the weakest to the strongest source.
SOURCES = [
    ({}, 1, "default"),
    ({"environ": {"WEB_CONCURRENCY": "02"}}, 2, "variable WEB_CONCURRENCY"),
    ({"file": FileValues("workerkit.toml", {"workers": 3})}, 3, "workerkit.toml"),
    ({"environ": {"WORKERKIT_WORKERS": "4"}}, 4, "variable WORKERKIT_WORKERS"),
    ({"environ": {"WORKERKIT_CMD_ARGS": "-c some.toml -w 5"}}, 5, "WORKERKIT_CMD_ARGS"),
    ({"flags": {"workers": "6"}}, 6, "flag --workers"),
    ({"overrides": {"workers": 7}}, 7, "keyword argument workers"),
]


def merged(sources):
    arguments = {}
    for source, _, _ in sources:
        for key, value in source.items():
            arguments[key] = {**arguments.get(key, {}), **value} if isinstance(value, dict) else value
    return arguments


@pytest.mark.parametrize("strongest", range(len(SOURCES)))
def test_the_strongest_source_wins(strongest):
    """Default, platform variable, file, own variable, words in a variable, flag, keyword: a later one wins."""
    settings = Settings.gather(SCHEMA, **merged(SOURCES[: strongest + 1]))

    assert (settings["workers"], settings.origin("workers")) == SOURCES[strongest][1:]
    assert Settings.peek("workers", SCHEMA, **merged(SOURCES[: strongest + 1])) == SOURCES[strongest][1]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ({"environ": {"PORT": "99"}}, ("0.0.0.0:99",)),
        ({"environ": {"PORT": ""}}, ("127.0.0.1:8000",)),
        ({"environ": {"WORKERKIT_BIND": "a:1, b:2"}}, ("a:1", "b:2")),
        ({"flags": {"bind": ["a:1", "b,c"]}}, ("a:1", "b,c")),
        ({"file": FileValues("x.toml", {"bind": ["a:1", "b:2"]})}, ("a:1", "b:2")),
        ({"file": FileValues("x.py", {"bind": "a:1"}, is_python=True)}, ("a:1",)),
        ({"overrides": {"bind": "a:1"}}, ("a:1",)),
    ],
)
def test_lists_are_read_as_each_source_writes_them(arguments, value):
    """A list is repeated flags, a list in a file, or text with commas; a platform's variable has its own reading."""
    assert Settings.gather(SCHEMA, **arguments)["bind"] == value


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"flags": {"workers": "x"}}, UsageError, "workers: expected a whole number, got 'x' (from flag --workers)"),
        (
            {"environ": {"WORKERKIT_CMD_ARGS": "-w x"}},
            UsageError,
            "workers: expected a whole number, got 'x' (from WORKERKIT_CMD_ARGS)",
        ),
        (
            {"environ": {"WEB_CONCURRENCY": "x"}},
            ConfigError,
            "workers: expected a whole number, got 'x' (from variable WEB_CONCURRENCY)",
        ),
        (
            {"environ": {"WORKERKIT_SENDFILE": "perhaps"}},
            ConfigError,
            "sendfile: expected yes or no, got 'perhaps' (from variable WORKERKIT_SENDFILE)",
        ),
        (
            {"file": FileValues("workerkit.toml", {"keep-alive": "long"})},
            ConfigError,
            "keepalive: expected a number of seconds (such as 30, 500ms or 2m), got 'long' (from workerkit.toml)",
        ),
        ({"overrides": {"workers": 0}}, ConfigError, "workers: cannot be 0 (from keyword argument workers)"),
        ({"overrides": {"worker": 2}}, ConfigError, "there is no setting 'worker'; did you mean 'workers'?"),
        ({"environ": {"WORKERKIT_CMD_ARGS": "'"}}, UsageError, "WORKERKIT_CMD_ARGS: No closing quotation"),
        (
            {"environ": {"WORKERKIT_CMD_ARGS": "--version"}},
            UsageError,
            "WORKERKIT_CMD_ARGS: unrecognized argument --version; see workerkit --help",
        ),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(arguments, error, message):
    """The message names the setting, what was expected, what came and from where; a command line's exits with 2."""
    with pytest.raises(ConfigError) as caught:
        Settings.gather(SCHEMA, **arguments)

    assert (type(caught.value), str(caught.value)) == (error, message)


def test_a_bad_value_that_is_overruled_does_not_matter():
    """Only the value that wins is checked."""
    assert Settings.gather(SCHEMA, {"workers": "2"}, {"WEB_CONCURRENCY": "x"})["workers"] == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workrs": 3}, "x.toml: unknown key 'workrs'; did you mean 'workers'?"),
        ({"zzz": 3}, "x.toml: unknown key 'zzz'"),
        ({"gevnt": {"a": 1}}, "x.toml: unknown key 'gevnt'; did you mean 'gevent'?"),
        ({"gevent": 3}, "x.toml: unknown key 'gevent'"),
        (
            {"gevent": {"worker_conections": 1}},
            "x.toml: unknown key 'worker_conections' in [gevent]; did you mean 'worker_connections'?",
        ),
        ({"gevent": {"workers": 1}}, "x.toml: unknown key 'workers' in [gevent]; it belongs at the top level"),
        ({"keepalive": 1, "keep-alive": 2}, "x.toml: keepalive is given twice, the second time as 'keep-alive'"),
        (
            {"worker_connections": 1, "gevent": {"worker_connections": 2}},
            "x.toml: worker_connections is given twice, the second time as 'worker_connections'",
        ),
    ],
)
def test_an_unknown_key_in_toml_is_an_error(values, message):
    """A TOML file may hold known keys only, each once and in its place; the nearest known name is offered."""
    with pytest.raises(ConfigError) as caught:
        Settings.gather(WITH_GEVENT, file=FileValues("x.toml", values))

    assert str(caught.value) == message


@pytest.mark.parametrize("values", [{"worker_connections": 5}, {"gevent": {"worker-connections": 5}}])
def test_a_plugins_setting_stands_in_its_table_or_at_the_top(values):
    """The settings of the plugin in use may be written in its table or beside the others."""
    settings = Settings.gather(WITH_GEVENT, file=FileValues("x.toml", values))

    assert settings["worker_connections"] == 5


def test_tables_of_plugins_that_are_not_in_use_are_ignored():
    """One file may serve several worker classes: the table of another plugin is not an error."""
    file = FileValues("x.toml", {"gevent": {"anything": 5}})

    settings = Settings.gather(SCHEMA, file=file, other_sections=lambda: ["gevent"])

    assert settings.warnings == ()


def test_a_near_miss_in_a_python_file_is_an_error():
    """A Python file has variables of its own, so only a name much like a setting's is taken for a mistake."""
    values = {"workrs": 3}

    with pytest.raises(ConfigError) as caught:
        Settings.gather(SCHEMA, file=FileValues("gunicorn.conf.py", values, is_python=True))

    assert str(caught.value) == (
        "gunicorn.conf.py: 'workrs' is not a setting; did you mean 'workers'?\n"
        "A variable of the file's own that looks like a setting can be called _workrs."
    )


def test_a_python_files_own_names_are_ignored():
    """Variables, functions, classes and modules of the file are its own business."""
    values = {"cpu_count": 4, "worker": lambda: None, "Timeout": type, "loglevels": pytest, "workers": 2}

    settings = Settings.gather(SCHEMA, file=FileValues("gunicorn.conf.py", values, is_python=True))

    assert (settings["workers"], settings.warnings) == (2, ())


def test_gunicorn_names_without_effect_are_one_warning():
    """Settings and hooks of gunicorn that are not here are listed in one line, and nothing fails."""
    values = {"daemon": True, "workers": 2, "post_fork": print, "worker_connections": 5}

    settings = Settings.gather(SCHEMA, file=FileValues("gunicorn.conf.py", values, is_python=True))

    assert settings.warnings == (
        "gunicorn.conf.py: gunicorn settings that have no effect here: daemon, post_fork, worker_connections",
    )


def test_a_misspelt_variable_is_a_warning():
    """A variable much like one of ours is reported; other programs' variables with our prefix are not."""
    environ = {"WORKERKIT_WORKRS": "3", "WORKERKIT_IMAGE_TAG": "1", "WORKERKIT_WORKERS": "2"}

    assert Settings.gather(SCHEMA, environ=environ).warnings == (
        "variable WORKERKIT_WORKRS names no setting and is ignored; did you mean WORKERKIT_WORKERS?",
    )


def test_peeking_refuses_nothing_that_is_still_unknown():
    """While the worker class is looked for, flags, keys and keywords of plugins are passed over."""
    value = Settings.peek(
        "worker_class",
        SCHEMA,
        environ={"WORKERKIT_CMD_ARGS": "--depth 3 -k gevent"},
        file=FileValues("x.toml", {"depth": 3}),
        overrides={"depth": 3},
    )

    assert value == "gevent"


def test_options_are_built_from_settings():
    """An options class whose fields are settings is filled with their values."""
    settings = Settings.gather(WITH_GEVENT, {"worker_connections": "7"})

    assert settings.build(GeventOptions) == GeventOptions(worker_connections=7)
    assert settings.build(CoreOptions) == CoreOptions()


def test_printed_settings_are_a_file_that_gives_the_same_settings():
    """The lines of --print-config are valid TOML, and reading them back changes nothing."""
    flags = {"bind": ['a"b', "ü"], "pidfile": "C:\\x", "umask": "022", "worker_connections": "7", "sendfile": False}
    file = FileValues("x.toml", {"secure_scheme_headers": {"X-A": "b"}})
    settings = Settings.gather(WITH_GEVENT, flags, file=file)

    printed = "\n".join(settings.lines())
    again = Settings.gather(WITH_GEVENT, file=FileValues("printed.toml", tomllib.loads(printed)))

    assert [again[setting.name] for setting in WITH_GEVENT] == [settings[setting.name] for setting in WITH_GEVENT]


def test_printed_settings_say_where_they_came_from():
    """Each line ends with the origin; what is not set is a comment; a plugin's settings come under its table."""
    lines = Settings.gather(WITH_GEVENT, {"workers": "3"}).lines()

    assert lines[:3] == ["# wsgi_app is not set", "workers = 3  # flag --workers", 'worker_class = "sync"  # default']
    assert lines[-4:] == ["", "[gevent]", "worker_connections = 1000  # default", "# post_patch is not set"]

"""Configuration files: which one is read, what it gives, how it fails."""

from __future__ import annotations

import sys

import pytest

from workerkit.config.files import FileValues, find_file, read_file
from workerkit.errors import ConfigError
from workerkit.frames import user_frames


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("__config__", None)


def write(path, name, text):
    (path / name).write_text(text)


def test_without_any_file_there_is_none():
    """No default file, no values."""
    assert find_file() is None


@pytest.mark.parametrize("first", range(4))
def test_the_first_default_file_wins(tmp_path, first):
    """workerkit.toml, workerkit.conf.py, [tool.workerkit] in pyproject.toml, gunicorn.conf.py: in this order."""
    files = [
        ("workerkit.toml", "workers = 0", "workerkit.toml"),
        ("workerkit.conf.py", "workers = 1", "workerkit.conf.py"),
        ("pyproject.toml", "[tool.workerkit]\nworkers = 2", "pyproject.toml [tool.workerkit]"),
        ("gunicorn.conf.py", "workers = 3", "gunicorn.conf.py"),
    ]
    for name, text, _ in files[first:]:
        write(tmp_path, name, text)

    found = find_file()

    assert (found.name, found.values["workers"]) == (files[first][2], first)


@pytest.mark.parametrize(
    "text",
    [
        "[tool.workerkit]\nworkers = 2",
        "[ tool . 'workerkit' ]\nworkers = 2",
        '["tool".workerkit]\nworkers = 2',
        "[tool]\nworkerkit.workers = 2",
        "tool.workerkit.workers = 2",
        "tool = { workerkit = { workers = 2 } }",
    ],
)
def test_our_table_in_a_pyproject_is_found_however_it_is_spelt(tmp_path, text):
    """TOML has many ways to say [tool.workerkit]."""
    write(tmp_path, "pyproject.toml", text)

    assert find_file().values == {"workers": 2}


def test_a_pyproject_that_only_depends_on_us_is_not_parsed(tmp_path):
    """Without our table it is not our business, not even whether it is valid."""
    write(tmp_path, "pyproject.toml", "[project]\ndependencies = ['workerkit']\n[tool.ruff")

    assert find_file() is None


@pytest.mark.parametrize("text", ["[tool.other]\nx = 1", "[project]\nname = 'workerkit'", "[tool]\nworkerkit = 3"])
def test_a_pyproject_without_our_table_is_passed_over(tmp_path, text):
    """A pyproject.toml that says nothing to us does not hide gunicorn.conf.py."""
    write(tmp_path, "pyproject.toml", text)
    write(tmp_path, "gunicorn.conf.py", "workers = 3")

    assert find_file().name == "gunicorn.conf.py"


def test_a_pyproject_that_is_named_must_have_our_table(tmp_path):
    """Naming a pyproject.toml without the table is an error."""
    write(tmp_path, "pyproject.toml", "[project]\nname = 'shop'")

    with pytest.raises(ConfigError) as caught:
        read_file("pyproject.toml")

    assert str(caught.value) == "pyproject.toml has no table [tool.workerkit]"


def test_a_python_file_gives_its_public_names(tmp_path):
    """A Python file is executed in a module of its own; names with an underscore stay private."""
    write(tmp_path, "conf.py", "import os\n_n = 2\nworkers = _n + 1\nname, file = __name__, __file__\n")

    found = read_file("file:conf.py")

    assert found.is_python
    assert {**found.values, "os": None} == {"os": None, "workers": 3, "name": "__config__", "file": "conf.py"}


def test_a_python_file_may_define_dataclasses_with_textual_annotations(tmp_path):
    """The file's module is importable while it runs, which dataclasses with string annotations need."""
    write(
        tmp_path,
        "conf.py",
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass _Box:\n    n: int\nworkers = _Box(2).n\n",
    )

    assert read_file("conf.py").values["workers"] == 2


def test_a_module_can_be_named(tmp_path):
    """``python:MODULE`` imports a module and gives its public names."""
    write(tmp_path, "shop_settings_a.py", "workers = 5")

    assert read_file("python:shop_settings_a") == FileValues("python:shop_settings_a", {"workers": 5}, is_python=True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.py",
            "import nothing_like_this",
            "the configuration file a.py failed: ModuleNotFoundError: No module named ",
        ),
        ("a.py", "def f():\n    raise KeyError('x')\nf()", "the configuration file a.py failed: KeyError: 'x'"),
        ("a.py", "workers = (", "the configuration file a.py failed: SyntaxError: '(' was never closed"),
        ("a.py", "import sys; sys.exit(3)", "the configuration file a.py failed: SystemExit: 3"),
        ("a.toml", "workers = ", "a.toml is not valid TOML: Invalid value (at end of document)"),
    ],
)
def test_a_file_that_fails_says_why(tmp_path, name, text, message):
    """What goes wrong in a file becomes one line that begins with the file and ends with the cause."""
    write(tmp_path, name, text)

    with pytest.raises(ConfigError) as caught:
        read_file(name)

    assert str(caught.value).startswith(message)


def test_the_cause_of_a_failing_file_has_the_users_frames_only(tmp_path):
    """The exception is chained, so that the user's own frames can be shown, and only those."""
    write(tmp_path, "a.py", "def f():\n    raise KeyError('x')\n\nf()\n")

    with pytest.raises(ConfigError) as caught:
        read_file("a.py")

    frames = user_frames(caught.value.__cause__).splitlines()
    assert [line for line in frames if line.startswith("  File")] == [
        '  File "a.py", line 4, in <module>',
        '  File "a.py", line 2, in f',
    ]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("absent.toml", "cannot read the configuration file absent.toml: No such file or directory"),
        ("absent.py", "cannot read the configuration file absent.py: No such file or directory"),
        ("python:absent_module_x", "the configuration module absent_module_x failed: ModuleNotFoundError: No module"),
    ],
)
def test_a_file_that_is_not_there_is_named(location, message):
    """A location that leads nowhere is an error that names it."""
    with pytest.raises(ConfigError) as caught:
        read_file(location)

    assert str(caught.value).startswith(message)

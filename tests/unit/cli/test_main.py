"""The command, from words to an exit code, with a toy assembly in the real one's place."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from workerkit import cli
from workerkit.cli import serve
from workerkit.config.pools import Plan
from workerkit.errors import BindError, BootError, PluginError


@dataclass(frozen=True, slots=True)
class CoreOptions:
    """Worker processes."""

    wsgi_app: str | None = None
    workers: int = field(default=1, metadata={"flags": ("-w",), "help": "How many."})
    worker_class: str = field(default="sync", metadata={"flags": ("-k",), "help": "Their class."})


@dataclass(frozen=True, slots=True)
class TrioOptions:
    """Trio workers."""

    depth: int = field(default=1, metadata={"help": "How deep."})


class Worker:
    """A worker class without settings of its own."""


class TrioWorker:
    """A worker class with settings of its own."""

    Options = TrioOptions


class Arbiter:
    """Ends at once."""

    def __init__(self, outcome):
        self.outcome = outcome

    def start(self):
        """There is nothing to open."""

    def run(self):
        """Return the exit code or raise."""
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class ToyAssembly:
    """Remembers the settings and runs nothing."""

    @property
    def PLAN(self):  # noqa: N802  as in the real one
        """Know the core's settings, and those of the worker class."""
        return Plan((CoreOptions,), (CoreOptions,), self.plugin_options)

    def __init__(self):
        self.outcome = 0
        self.settings = None

    def worker_class(self, name):
        """Know two worker classes."""
        if name not in {"sync", "trio", "workerkit-trio#trio", "pkg.mod:trio"}:
            raise PluginError(f"there is no worker class {name!r}")
        return Worker if name == "sync" else TrioWorker

    def plugin_options(self, peek):
        """Know what a worker class adds."""
        if self.worker_class(peek("worker_class")) is TrioWorker:
            yield "trio", TrioOptions

    def assemble(self, settings, *, read=None):
        """Remember the settings."""
        self.settings = settings
        return Arbiter(self.outcome)

    def check(self, settings):
        """Say that all is well."""
        return f"{settings['wsgi_app']} can be served"


@pytest.fixture
def assembly(tmp_path, monkeypatch):
    """A toy assembly in the place of the real one, in an empty directory, with an empty environment."""
    toy = ToyAssembly()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(serve, "_real_assembly", lambda: toy)
    for name in list(os.environ):
        if name.startswith("WORKERKIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    return toy


def test_words_become_settings_and_the_arbiter_runs(assembly):
    """The exit code is the arbiter's."""
    assembly.outcome = 3

    assert cli.main(["shop:app", "-w", "4"]) == 3
    assert (assembly.settings["wsgi_app"], assembly.settings["workers"]) == ("shop:app", 4)


def test_no_garbage_is_collected_until_the_arbiter_runs(assembly, monkeypatch):
    """The collector rests while things are made; it works again when they run, and when they could not be made."""
    at_work = []
    monkeypatch.setattr(assembly, "assemble", lambda settings, *, read: at_work.append(gc.isenabled()) or Arbiter(0))
    monkeypatch.setattr(Arbiter, "run", lambda self: at_work.append(gc.isenabled()) or 0)

    assert cli.main(["shop:app"]) == 0
    assert at_work == [False, True]
    assert cli.main(["--nonsense"]) == 2
    assert gc.isenabled()


@pytest.mark.parametrize("name", ["trio", "workerkit-trio#trio", "pkg.mod:trio"])
def test_the_worker_class_brings_its_settings(assembly, name):
    """Flags and a table of the chosen worker class are known, however it is spelt."""
    with open("workerkit.toml", "w") as file:
        file.write("[trio]\ndepth = 2\n")

    assert cli.main(["-k", name]) == 0
    assert assembly.settings.build(TrioOptions) == TrioOptions(depth=2)
    assert cli.main(["--depth", "3", "-k", name, "shop:app"]) == 0
    assert (assembly.settings["depth"], assembly.settings["wsgi_app"]) == (3, "shop:app")


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("worker_class = 'trio'\ndepth = 5\n", {}),
        ("depth = 5\n", {"WORKERKIT_WORKER_CLASS": "trio"}),
        ("depth = 5\n", {"WORKERKIT_CMD_ARGS": "-k trio"}),
        ("worker_class = 'trio'\n", {"WORKERKIT_DEPTH": "5"}),
        ("worker_class = 'trio'\n", {"WORKERKIT_CMD_ARGS": "--depth 5"}),
    ],
)
def test_the_worker_class_may_come_from_any_source(assembly, monkeypatch, text, environ):
    """Whichever source names it, its settings may come from every other."""
    with open("workerkit.toml", "w") as file:
        file.write(text)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert cli.main([]) == 0
    assert assembly.settings["depth"] == 5


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["-c", "other.toml"], {}),
        ([], {"WORKERKIT_CMD_ARGS": "-c other.toml"}),
        ([], {"WORKERKIT_CONFIG": "other.toml"}),
        (["-c", "other.toml"], {"WORKERKIT_CONFIG": "absent.toml"}),
    ],
)
def test_the_configuration_file_can_be_named(assembly, monkeypatch, words, environ):
    """By a flag, by words in a variable or by a variable of its own; then the default files are not looked for."""
    for name, workers in (("other.toml", 7), ("workerkit.toml", 8)):
        with open(name, "w") as file:
            file.write(f"workers = {workers}\n")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert cli.main(words) == 0
    assert assembly.settings["workers"] == 7


def test_a_configuration_file_imports_from_the_current_directory(assembly, tmp_path):
    """The console script does not put the current directory on sys.path; the command does."""
    (tmp_path / "cli_helper_module.py").write_text("COUNT = 6\n")
    (tmp_path / "workerkit.conf.py").write_text("import cli_helper_module\nworkers = cli_helper_module.COUNT\n")

    assert cli.main([]) == 0
    assert assembly.settings["workers"] == 6


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--worker-clas", "x"], 2, "unrecognized argument --worker-clas; did you mean --worker-class?"),
        (["--depth", "3"], 2, "unrecognized argument --depth; see workerkit --help"),
        (["-w", "x"], 2, "workers: expected a whole number, got 'x' (from flag --workers)"),
        (["-k", "zzz"], 1, "there is no worker class 'zzz'"),
        (["-c", "x.toml"], 1, "cannot read the configuration file x.toml: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(assembly, capsys, words, code, message):
    """A user's mistake has no traceback."""
    assert cli.main(words) == code
    assert capsys.readouterr() == ("", f"workerkit: error: {message}\n")


def test_the_users_own_frames_come_before_the_message(assembly, tmp_path, capsys):
    """A configuration file that raises is shown with its own frames, and no others."""
    (tmp_path / "c.py").write_text("def f():\n    raise KeyError('x')\n\nf()\n")

    assert cli.main(["-c", "c.py"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == '  File "c.py", line 4, in <module>'
    assert lines[-1] == "workerkit: error: the configuration file c.py failed: KeyError: 'x'"
    assert [line for line in lines if line.startswith("  File")][1:] == ['  File "c.py", line 2, in f']


def test_the_frames_of_a_boot_error_are_printed(assembly, capsys):
    """Frames that came from another process as text are printed as they are."""
    assembly.outcome = BootError("shop cannot be imported", frames='  File "shop.py", line 1\n')

    assert cli.main([]) == 3
    assert capsys.readouterr().err == '  File "shop.py", line 1\nworkerkit: error: shop cannot be imported\n'


@pytest.mark.parametrize(("outcome", "code"), [(BindError("in use"), 1), (KeyboardInterrupt(), 130)])
def test_errors_while_running_end_the_command(assembly, outcome, code):
    """Whatever workerkit raises on purpose has its exit code; an interrupt is quiet."""
    assembly.outcome = outcome

    assert cli.main([]) == code


def test_check_config_loads_everything_and_runs_nothing(assembly, capsys):
    """--check-config prints the one line of the check."""
    assert cli.main(["shop:app", "--check-config"]) == 0
    assert capsys.readouterr().out == "shop:app can be served\n"
    assert assembly.settings is None


def test_print_config_shows_where_values_came_from(assembly, capsys, monkeypatch):
    """--print-config prints all settings, those of the worker class too."""
    monkeypatch.setenv("WORKERKIT_DEPTH", "9")

    assert cli.main(["-k", "trio", "--print-config"]) == 0
    assert capsys.readouterr().out == (
        "# wsgi_app is not set\n"
        "workers = 1  # default\n"
        'worker_class = "trio"  # flag --worker-class\n'
        "\n"
        "[trio]\n"
        "depth = 9  # variable WORKERKIT_DEPTH\n"
    )


def test_warnings_go_to_standard_error(assembly, tmp_path, capsys):
    """What a gunicorn.conf.py sets without effect is one line, and serving goes on."""
    (tmp_path / "gunicorn.conf.py").write_text("daemon = True\nspew = False\n")

    assert cli.main([]) == 0
    assert capsys.readouterr().err == (
        "workerkit: warning: gunicorn.conf.py: gunicorn settings that have no effect here: daemon, spew\n"
    )


def test_a_table_of_another_plugin_is_no_mistake(assembly, tmp_path, monkeypatch):
    """Tables named after installed worker classes may stand in a file that does not use them."""
    monkeypatch.setattr(serve, "_plugin_names", lambda: ["sync", "trio"])
    (tmp_path / "workerkit.toml").write_text("[trio]\ndepth = 2\n")

    assert cli.main([]) == 0


HELP = """\
Example: workerkit app:app --workers 4 --bind 0.0.0.0:8000

Usage: workerkit [OPTIONS] [MODULE:APP]
       workerkit ctl status | reload | reopen | stop
       workerkit workers | arbiters | protocols [NAME]
       workerkit new-plugin NAME

Worker processes:
  MODULE:APP
  -w, --workers N               How many (default: 1)
  -k, --worker-class TEXT       Their class (default: sync)
"""


@pytest.mark.parametrize(
    "words", [["--help"], ["-h"], ["--nonsense", "-h"], ["-k", "zzz", "--help"], ["-c", "absent", "-h"]]
)
def test_help_comes_whatever_else_is_wrong(assembly, capsys, words):
    """The page begins with an example, and no other mistake keeps it away."""
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith(HELP)
    assert out.endswith("  -h, --help                    Print this page and exit\n")


def test_help_shows_the_settings_of_the_chosen_worker_class(assembly, capsys):
    """The worker class's settings have a heading of their own."""
    assert cli.main(["-k", "trio", "-h"]) == 0
    assert "\n\nTrio workers:\n  --depth N                     How deep (default: 1)\n" in capsys.readouterr().out


def test_the_version_needs_nothing_else(monkeypatch, capsys):
    """--version names the distribution's version and Python's, and imports no layer below."""
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name}-version")

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"workerkit workerkit-version (Python {sys.version.split()[0]})\n"


def test_argv_is_the_default(assembly, monkeypatch):
    """Without an argument, main reads the words of its process."""
    monkeypatch.setattr(sys, "argv", ["workerkit", "-w", "9"])

    assert cli.main() == 0
    assert assembly.settings["workers"] == 9


def test_the_command_imports_nothing_heavy():
    """Start-up time is a feature: what serving may not need is not imported by the command."""
    heavy = {
        "ssl",
        "asyncio",
        "email",
        "importlib.metadata",
        "tomllib",
        "difflib",
        "shlex",
        "textwrap",
        "json",
        "socket",
    }
    code = f"import sys, workerkit.cli; print(*sorted({heavy} & set(sys.modules)))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert result.stdout.strip() == ""

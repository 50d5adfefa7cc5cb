"""``workerkit workers`` and its like: what is installed, what of it can be used, and what each is."""

from __future__ import annotations

import pytest

from workerkit import cli
from workerkit.cli import listing
from workerkit.plugins import Plugin, loading

FILE = '''\
from dataclasses import dataclass, field

from workerkit import Worker


@dataclass(frozen=True, slots=True)
class Options:
    """Digging."""

    depth: int = field(default=3, metadata={"help": "How deep."})


class DiggerWorker(Worker):
    """Digs.

    As deep as it is told.
    """

    requires = ("a_library_that_nobody_has",)
    Options = Options

    def run(self):
        """Dig."""
'''


@pytest.fixture
def installed(monkeypatch):
    """Make these plugins the installed ones, for listing and for loading."""

    def install(*found):
        def available(group, distribution=""):
            return [plugin for plugin in found if distribution in ("", plugin.distribution)]

        monkeypatch.setattr(listing.plugins, "available", available)
        monkeypatch.setattr(loading, "available", available)

    return install


def test_what_is_listed(installed, capsys):
    """Name, distribution with version, jobs, and whether it can be used; aliases and broken ones are told."""
    installed(
        Plugin("gthread", "workerkit.workers.threaded:ThreadedWorker", "workerkit", "0.1.0"),
        Plugin("sync", "workerkit.workers.sync:SyncWorker", "workerkit", "0.1.0"),
        Plugin("threaded", "workerkit.workers.threaded:ThreadedWorker", "workerkit", "0.1.0"),
        Plugin("trio", "no_such_module:T", "workerkit-trio", "12.0"),
    )

    assert cli.main(["workers"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAME      DISTRIBUTION         RUNS            STATUS",
        "gthread   workerkit 0.1.0      call, dialogue  the same as threaded",
        "sync      workerkit 0.1.0      call            available",
        "threaded  workerkit 0.1.0      call, dialogue  available",
        "trio      workerkit-trio 12.0                  broken: worker class 'trio' of workerkit-trio 12.0 "
        "(no_such_module:T): there is no module 'no_such_module'",
    ]


def test_nothing_is_installed(installed, capsys):
    """An empty group is a sentence."""
    installed()

    assert cli.main(["protocols"]) == 0
    assert capsys.readouterr().out == "There are no protocols installed.\n"


def test_two_distributions_with_one_name(installed, capsys):
    """Where two distributions announce one name, both are listed, and dist#name says which is meant."""
    installed(
        Plugin("mine", "workerkit.workers.sync:SyncWorker", "one", "1"),
        Plugin("mine", "workerkit.workers.threaded:ThreadedWorker", "two", "2"),
    )

    assert cli.main(["workers"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]] == ["one", "two"]
    assert cli.main(["workers", "two#mine"]) == 0
    assert "workerkit.workers.threaded:ThreadedWorker" in capsys.readouterr().out
    assert cli.main(["workers", "mine"]) == 1
    assert "Choose one: one#mine or two#mine" in capsys.readouterr().err


def test_a_plugin_in_a_file_is_described(tmp_path, capsys):
    """One that is named is described: its docs, its class, what it misses, its options."""
    (tmp_path / "digger.py").write_text(FILE)

    assert cli.main(["workers", "--plugin", str(tmp_path / "digger.py"), "digger"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "digger: Digs.",
        "",
        "As deep as it is told.",
        "",
        "Class     workerkit_plugin_digger:DiggerWorker",
        "At once   one job in one process",
        "Requires  a_library_that_nobody_has",
        "Contract  api_version 1",
        "Status    a_library_that_nobody_has is not installed",
        "",
        "Digging:",
        "  --depth N                     How deep (default: 3)",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["workers", "a", "b"], "workerkit workers takes one name, got a and b"),
        (["arbiters", "--nonsense"], "unrecognized argument --nonsense; see workerkit arbiters --help"),
        (["new-plugin"], "workerkit new-plugin takes one name, as in `workerkit new-plugin mine`"),
        (["new-plugin", "a", "--nonsense"], "unrecognized argument --nonsense; see workerkit new-plugin --help"),
        (
            ["new-plugin", "My Own"],
            "'My Own' cannot be the name of a worker class: lower-case letters, digits, '-' and '_'",
        ),
        (["new-plugin", "sync"], "there is a worker class 'sync' already, of workerkit 0.1.0; choose another name"),
    ],
)
def test_mistakes(words, message, capsys):
    """A mistake is one line and exit code 2."""
    assert cli.main(words) == 2
    assert capsys.readouterr().err == f"workerkit: error: {message}\n"


@pytest.mark.parametrize("word", ["workers", "arbiters", "protocols", "new-plugin"])
def test_help(word, capsys):
    """A subcommand answers --help as well."""
    assert cli.main([word, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: workerkit {word} ")


def test_our_own_classes_can_be_described(capsys):
    """Every worker class, arbiter and protocol of ours has a page."""
    for word, group in listing.GROUPS.items():
        for plugin in listing.plugins.available(group):
            assert cli.main([word, f"{plugin.distribution}#{plugin.name}"]) == 0
            assert "no description" not in capsys.readouterr().out


def test_a_new_plugin_goes_where_it_is_told(tmp_path, capsys):
    """--into names the folder, and what to do next is printed."""
    assert cli.main(["new-plugin", "fast_lane", "--into", str(tmp_path / "here")]) == 0
    assert f"cd {tmp_path / 'here'}" in capsys.readouterr().out

    worker = (tmp_path / "here" / "workerkit_fast_lane" / "worker.py").read_text()
    assert "class FastLaneWorker(ServerWorker):" in worker
    assert "@" not in worker.replace("@dataclass", "")

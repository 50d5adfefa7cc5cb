"""Names become classes: found by entry point, path or file, and checked."""

from __future__ import annotations

import abc
import importlib
import os
import sys
import zipfile

import pytest

from workerkit import plugins
from workerkit.errors import PluginError
from workerkit.frames import user_frames
from workerkit.plugins import Plugin, entry_points

GROUP = plugins.WORKERS


class Worker(abc.ABC):
    """A contract to test with."""

    api_version = 1

    @abc.abstractmethod
    def run(self):
        """Do it."""


class Good(Worker):
    """Keeps the contract."""

    def run(self):
        """Do it."""


class Unfinished(Worker):
    """Forgets run()."""


class Old(Good):
    """Was written for another version."""

    api_version = 0


class Stranger:
    """Is no worker."""


def make():
    """Is no class."""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An otherwise empty sys.path entry, in which distributions can be installed."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), os.path.dirname(os.__file__)])
    monkeypatch.setitem(sys.modules, "contract", sys.modules[__name__])
    importlib.invalidate_caches()
    return tmp_path


def install(site, distribution, version="1.0", group=GROUP, suffix="dist-info", **entry_points):
    """Write what an installer writes about a distribution."""
    folder = site / f"{distribution.replace('-', '_')}-{version}.{suffix}"
    folder.mkdir()
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (folder / "entry_points.txt").write_text("\n".join(["[console_scripts]", "x = y:z", "", f"[{group}]", *lines]))


def refusal(name, **options):
    """Return the message with which loading ``name`` is refused."""
    with pytest.raises(PluginError) as caught:
        plugins.load(GROUP, name, Worker, 1, **options)
    return str(caught.value)


def test_plugins_are_listed_without_importing_them(site):
    """Name, value, distribution and version are known from the metadata alone."""
    install(site, "workerkit-trio", "0.3", trio="not_there:TrioWorker", anyio="not_there:AnyioWorker")
    install(site, "other", group="workerkit.protocols", redis="other:Redis")

    assert plugins.available(GROUP) == [
        Plugin("anyio", "not_there:AnyioWorker", "workerkit-trio", "0.3"),
        Plugin("trio", "not_there:TrioWorker", "workerkit-trio", "0.3"),
    ]
    assert [plugin.name for plugin in plugins.available(plugins.PROTOCOLS)] == ["redis"]


def test_egg_info_and_zip_files_are_scanned_too(site, monkeypatch):
    """Older installations and zip files on sys.path announce plugins as well."""
    install(site, "old-style", "2.0-py3.11", suffix="egg-info", old="x:Y")
    archive = site / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped-4.0.dist-info/METADATA", "Name: zipped\nVersion: 4.0\n")
        file.writestr("zipped-4.0.dist-info/entry_points.txt", f"[{GROUP}]\nzip = x:Y\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(archive)])

    assert [(plugin.name, plugin.owner) for plugin in plugins.available(GROUP)] == [
        ("old", "old-style 2.0"),
        ("zip", "zipped 4.0"),
    ]


def test_a_development_installation_states_its_version_inside(site):
    """The metadata beside a source tree is in a folder without version; the file in it says which it is."""
    (site / "workerkit_trio.egg-info").mkdir()
    (site / "workerkit_trio.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nVersion: 0.9\n")
    (site / "workerkit_trio.egg-info" / "entry_points.txt").write_text(f"[{GROUP}]\n# ours\ntrio = x:Y\n")

    assert plugins.available(GROUP) == [Plugin("trio", "x:Y", "workerkit-trio", "0.9")]


def test_a_distribution_that_is_there_twice_counts_once(site, tmp_path_factory, monkeypatch):
    """Of one distribution in two places on sys.path, the first is the one that would be imported."""
    second = tmp_path_factory.mktemp("second")
    install(site, "workerkit-trio", "2.0", trio="contract:Good")
    install(second, "workerkit_Trio", "1.0", trio="contract:Old")
    monkeypatch.setattr(sys, "path", [*sys.path, str(second)])

    assert [plugin.version for plugin in plugins.available(GROUP)] == ["2.0"]


@pytest.mark.parametrize(
    "name", ["trio", "workerkit-trio#trio", "Workerkit_Trio#trio", "contract:Good", "contract.Good"]
)
def test_a_name_is_resolved(site, name):
    """An entry point's name, with or without its distribution, module:Class and a dotted path lead to the class."""
    install(site, "workerkit-trio", trio="contract:Good [extra]")

    assert plugins.load(GROUP, name, Worker, 1) is Good


def test_ours_win_a_clash(site):
    """A built-in name cannot be taken over; the other is still there under its full name."""
    install(site, "another", sync="contract:Old")
    install(site, "workerkit", sync="contract:Good")

    assert plugins.load(GROUP, "sync", Worker, 1) is Good
    assert plugins.load(GROUP, "another#sync", Worker, 0) is Old


@pytest.mark.parametrize(("name", "reads"), [("sync", 1), ("workerkit#sync", 1), ("trio#trio", 1), ("trio", 3)])
def test_metadata_is_read_no_further_than_a_name_needs(site, monkeypatch, name, reads):
    """For a name of ours, or of a distribution that is named, nobody else's metadata is read."""
    install(site, "another", sync="contract:Old")
    install(site, "trio", trio="contract:Good")
    install(site, "workerkit", sync="contract:Good")
    read = []
    real = entry_points._read
    monkeypatch.setattr(entry_points, "_read", lambda path: read.append(path) or real(path))

    assert plugins.load(GROUP, name, Worker, 1) is Good
    assert len(set(read)) == reads


def test_a_name_of_two_distributions_is_ambiguous(site):
    """Both are named, and so is what to write."""
    install(site, "one", trio="contract:Good")
    install(site, "two", "2.1", trio="contract:Good")

    assert refusal("trio") == (
        "worker class 'trio' is announced by one 1.0 and two 2.1.\nChoose one: one#trio or two#trio"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("syncc", "there is no worker class 'syncc'; did you mean 'sync'?\nInstalled: sync, trio"),
        ("zzz", "there is no worker class 'zzz'\nInstalled: sync, trio"),
        ("two#trio", "there is no worker class 'two#trio'; did you mean 'trio'?\nInstalled: sync, trio"),
        (
            "gevent",
            "there is no worker class 'gevent'\nInstalled: sync, trio\n"
            'It comes with: pip install "workerkit[gevent]"',
        ),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(site, name, message):
    """What is installed, what was probably meant and, for our extras, what to install."""
    install(site, "workerkit", sync="contract:Good", trio="contract:Good")

    assert refusal(name) == message


EXPECTED = f"expected a subclass of {__name__}.Worker"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("contract:Stranger", f"{EXPECTED}, found a class derived from builtins.object"),
        ("contract:Unfinished", "it does not define run, which Worker requires"),
        ("contract:Old", "expected api_version 1, found 0"),
        ("contract:Absent", "contract has no attribute 'Absent'"),
        ("not_there:X", "there is no module 'not_there'"),
        ("contract.deeper:X", "there is no module 'contract.deeper'"),
    ],
)
def test_a_plugin_that_breaks_the_contract_is_refused(site, value, message):
    """The message names the plugin, its distribution, what was expected and what came."""
    install(site, "workerkit-trio", "0.3", trio=value)

    assert refusal("trio") == f"worker class 'trio' of workerkit-trio 0.3 ({value}): {message}"


def test_what_is_not_a_class_is_refused(site):
    """A function is shown as what it is."""
    assert refusal("contract:make") == f"worker class 'contract:make': {EXPECTED}, found {make!r}, which is not a class"


def test_a_plugin_that_cannot_be_imported_shows_its_own_frames(site, monkeypatch):
    """The cause is chained, so that the plugin's own frames can be shown; the message has the cause in one line."""
    monkeypatch.delitem(sys.modules, "eventlet", raising=False)
    (site / "broken_plugin.py").write_text("import eventlet.not_there\n")
    (site / "eventlet.py").write_text("raise ImportError('too old', name='eventlet')\n")
    install(site, "broken", broken="broken_plugin:X")

    with pytest.raises(PluginError) as caught:
        plugins.load(GROUP, "broken", Worker)

    assert str(caught.value) == (
        "worker class 'broken' of broken 1.0 (broken_plugin:X) cannot be imported: ImportError: too old\n"
        'It comes with: pip install "workerkit[eventlet]"'
    )
    assert "broken_plugin.py" in user_frames(caught.value.__cause__)


def test_a_broken_plugin_that_is_not_selected_does_no_harm(site):
    """Only the selected plugin is imported."""
    install(site, "broken", broken="not_there:X")
    install(site, "workerkit", sync="contract:Good")

    assert plugins.load(GROUP, "sync", Worker, 1) is Good


@pytest.mark.parametrize("name", ["echo", "EchoWorker", "echoworker", "e-cho", "ec_ho"])
def test_a_class_in_a_file_is_found_by_its_name(site, name):
    """A file given by --plugin needs no entry point: its classes go by their names, with or without the suffix."""
    (site / "single.py").write_text(
        "from contract import Good, Worker\n\nclass EchoWorker(Worker):\n    def run(self):\n        return 'echo'\n"
    )
    plugins.load_file(str(site / "single.py"))

    assert plugins.load(GROUP, name, Worker, 1)().run() == "echo"


def test_a_file_is_executed_once(site):
    """A file that is named twice is the same module, as with an import."""
    (site / "single.py").write_text("")

    assert plugins.load_file(str(site / "single.py")) is plugins.load_file(str(site / "single.py"))


def test_a_class_in_a_file_is_checked_too(site):
    """The contract holds for files as for distributions; what a file imported is not taken for its own."""
    (site / "single.py").write_text("from contract import Good, Worker\n\nclass EchoWorker(Worker):\n    pass\n")
    plugins.load_file(str(site / "single.py"))

    assert refusal("echo") == "worker class 'echo': it does not define run, which Worker requires"
    assert refusal("good").startswith("there is no worker class 'good'")


@pytest.mark.parametrize(
    ("text", "cause"),
    [("1 / 0", "ZeroDivisionError: division by zero"), (None, "FileNotFoundError: [Errno 2] No such")],
)
def test_a_file_that_cannot_be_loaded_is_named(site, text, cause):
    """A missing file and one that raises are errors with the cause in one line."""
    path = site / "single.py"
    if text:
        path.write_text(text)

    with pytest.raises(PluginError) as caught:
        plugins.load_file(str(path))

    assert str(caught.value).startswith(f"the plugin file {path} cannot be loaded: {cause}")

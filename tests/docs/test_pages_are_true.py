"""What the pages say in tables and files, and no snippet runs, is what the code does."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import generate
import pytest
from pages import ROOT

import workerkit
from workerkit.arbiter.policy import RestartBudget
from workerkit.process import states
from workerkit.protocols.http1 import connection as http1
from workerkit.workers import sync

DOCS = ROOT / "docs"
ENVIRON_APP = """\
import json


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(sorted(environ)).encode()]
"""


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def first_cells(page: str) -> list[str]:
    """Return the codes in the first column of the page's tables."""
    cells = re.findall(r"^\| (`[^|]+) \|", text_of(page), re.MULTILINE)
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("path", list(generate.PAGES), ids=lambda path: path.name)
def test_generated_page_is_current(path: Path) -> None:
    """The page is what the code says now; otherwise run ``python docs/generate.py``."""
    assert path.read_text(encoding="utf-8") == generate.PAGES[path]()


def test_state_diagram_is_drawn_from_the_table() -> None:
    """The diagram on the architecture page is what the command prints."""
    assert f"```mermaid\n{states.diagram()}\n```" in text_of("explanation/architecture.md")


def test_every_state_is_explained() -> None:
    """The page of worker states has each state of the table, in its order."""
    assert first_cells("reference/worker-states.md") == [state.name.lower() for state in states.State]


def test_every_public_name_is_documented() -> None:
    """Each name that ``workerkit`` offers is on the page of the API or of the errors."""
    pages = text_of("reference/api.md") + text_of("reference/errors.md")
    documented = re.findall(r"^\.\. auto(?:function|class|exception):: workerkit\.(\w+)", pages, re.MULTILINE)

    assert sorted(documented) == sorted(workerkit.__all__)


def test_exit_codes() -> None:
    """The page of exit codes has each code that an error carries, with the name of that error."""
    rows = dict(re.findall(r"^\| (\d) \|.*\| ([^|]+) \|$", text_of("reference/exit-codes.md"), re.MULTILINE))
    for name in ("ConfigError", "PluginError", "BindError", "UsageError", "BootError", "AppLoadError"):
        assert f"workerkit.{name}" in rows[str(getattr(workerkit, name).exit_code)]


def test_figures_of_fairness() -> None:
    """The page on fairness has the figures that the sync worker goes by."""
    page = text_of("explanation/fairness.md")
    figures = [f"for {sync._PATIENCE * 1000:g} ms", f"than {sync._LONG * 1000:g} ms", f"next {sync._DECLINE_FOR:g} s"]

    assert [figure for figure in [*figures, f"up to {http1._GRACE:g} s"] if figure not in page] == []


def test_figures_of_the_restart_budget() -> None:
    """The page on restarts has the figures of the budget."""
    page = " ".join(text_of("explanation/reload-and-restart.md").split())
    budget = RestartBudget()

    assert (budget.burst, budget.refill) == (8, 2)
    assert "Eight deaths are replaced at once, and one more for every two seconds that pass." in page
    assert f"waits {budget.first_delay:g} s" in page
    assert f"up to {budget.longest_delay:g} s" in page


def test_environ_keys(tmp_path: Path) -> None:
    """The page of the environ has each key that a request of the plainest kind brings, and no other."""
    (tmp_path / "keys.py").write_text(ENVIRON_APP)
    program = (
        "import threading, urllib.request, workerkit\n"
        "arbiter = workerkit.create_arbiter('keys:app', bind='127.0.0.1:0', workers=1, loglevel='error')\n"
        "arbiter.start()\n"
        "[listener] = arbiter.listeners['default']\n"
        "def ask():\n"
        "    print(urllib.request.urlopen(listener.url).read().decode())\n"
        "    arbiter.stop()\n"
        "threading.Thread(target=ask).start()\n"
        "arbiter.run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=30, check=True
    )
    keys = [key for key in json.loads(done.stdout) if not key.startswith("HTTP_")]

    assert keys == sorted(first_cells("reference/environ.md"))


def test_every_dependency_has_its_reason() -> None:
    """The page of dependencies names each distribution of pyproject.toml, and no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.split(r"[^\w.-]", requirement)[0] for requirement in required} - {"workerkit"}
    rows = [line.split("|") for line in text_of("explanation/dependencies.md").splitlines() if line[:1] == "|"]
    cells = {row[-3].strip() for row in rows} - {"Distribution", "---", "both"}

    assert {name for cell in cells for name in cell.split(", ")} == names


def printed_settings(words: list[str], folder: Path) -> str:
    """Return what ``--print-config`` says of a command line whose first word is some path of the command."""
    assert Path(words[0]).name == "workerkit"
    done = subprocess.run(
        [sys.executable, "-m", "workerkit", "--print-config", *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


def test_systemd_unit(tmp_path: Path) -> None:
    """The service's command line can be used, and systemd's patience is longer than ours."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # keys are not made lower case
    unit.read_string(text_of("howto/app.service"))
    settings = tomllib.loads(printed_settings(shlex.split(unit["Service"]["ExecStart"]), tmp_path))

    assert settings["bind"] == ["systemd:web"]
    assert "\nFileDescriptorName=web\n" in text_of("howto/app.socket")
    assert settings["graceful_timeout"] < int(unit["Service"]["TimeoutStopSec"])


@pytest.mark.program("systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Each setting of the units is one that systemd knows, in the section where it belongs."""
    version = int(subprocess.run(["systemd-analyze", "--version"], capture_output=True, check=True).stdout.split()[1])
    for name in ("app.service", "app.socket"):
        # What is not on this machine: the command, the users, and the type before systemd 253.
        text = text_of(f"howto/{name}").replace("/srv/app/.venv/bin/workerkit", sys.executable)
        text = re.sub(r"(?m)^(User|Group|SocketUser|WorkingDirectory)=.*\n", "", text)
        (tmp_path / name).write_text(text if version >= 253 else text.replace("notify-reload", "notify"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "app.service"), str(tmp_path / "app.socket")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []


def test_container_command(tmp_path: Path) -> None:
    """The image's command line can be used, and is below Docker's patience of 10 s."""
    [command] = re.findall(r"^CMD (\[.*\])$", text_of("howto/Dockerfile"), re.MULTILINE)
    settings = tomllib.loads(printed_settings(json.loads(command), tmp_path))

    assert settings["bind"] == ["0.0.0.0:8000"]
    assert settings["graceful_timeout"] < 10


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_of_the_front_pages(name: str) -> None:
    """Each link to a file of the repository leads to one (Sphinx looks after those inside docs/)."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))

    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_readme_has_two_commands_to_start() -> None:
    """Under "Start" stand two commands: one ends in a server, the other, which .ci/run takes, in the tests."""
    start = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Start")[2].partition("\n## ")[0]
    first, second = re.findall(r"^\$ (.+)$", start, re.MULTILINE)

    assert first.endswith("&& workerkit workerkit_contrib.demo:app --workers 4")
    assert second.endswith("&& python3 -m pytest")

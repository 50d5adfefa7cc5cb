"""``workerkit ctl``: which server it asks, what, and how it shows the answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workerkit import cli
from workerkit.cli import ctl
from workerkit.control.commands import COMMANDS
from workerkit.errors import ControlError

STATUS = {
    "ok": True,
    "version": "1.2.3",
    "pid": 4242,
    "uptime": 97_445.25,
    "reloading": True,
    "pools": [{"name": "web", "workers": 2, "addresses": ["http://127.0.0.1:80", "unix:web.sock"]}],
    "workers": [
        {"pool": "web", "pid": 4243, "state": "ready", "age": 61.5},
        {"pool": "web", "pid": None, "state": "booting", "age": 0.5},
    ],
}
SHOWN = """\
workerkit 1.2.3, pid 4242, up 1d 3:04:05, reloading

NAME  WORKERS  ADDRESSES
web         2  http://127.0.0.1:80, unix:web.sock

POOL   PID  STATE        AGE
web   4243  ready    0:01:01
web      -  booting  0:00:00
"""


class Asked:
    """What ``ctl`` asks, and what it is answered."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.answer: object = {"ok": True}

    def __call__(self, path: str, request: object, timeout: float | None) -> object:
        self.calls.append((path, request, timeout))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """Put a listener in the server's place, in an empty folder without variables."""
    asked = Asked()
    monkeypatch.setattr(ctl, "ask", asked)
    monkeypatch.chdir(tmp_path)
    for name in ("WORKERKIT_CONTROL_SOCKET", "WORKERKIT_CONFIG", "WORKERKIT_CMD_ARGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    return asked


@pytest.mark.parametrize(
    ("words", "request_", "timeout"),
    [
        ("reopen", {"command": "reopen"}, 10.0),
        ("reload", {"command": "reload"}, 10.0),
        ("reload --wait", {"command": "reload", "wait": True}, None),
        ("reload --wait --timeout 2m", {"command": "reload", "wait": True}, 120.0),
        ("--timeout=500ms stop --quick", {"command": "stop", "quick": True}, 0.5),
    ],
)
def test_what_is_asked(asked: Asked, words: str, request_: dict[str, object], timeout: float | None) -> None:
    """Words become a request; what is answered at once is waited for ten seconds, a reload as long as it takes."""
    assert cli.main(["ctl", *words.split(), "--socket", "/run/a.sock"]) == 0
    assert asked.calls == [("/run/a.sock", request_, timeout)]


@pytest.mark.parametrize(
    ("words", "variable", "file", "path"),
    [
        ("-s flag.sock", "variable.sock", "file.sock", "flag.sock"),
        ("", "variable.sock", "file.sock", "variable.sock"),
        ("", None, "file.sock", "file.sock"),
        ("", None, "auto", "/run/user/7/workerkit.ctl"),
        ("", None, None, "/run/user/7/workerkit.ctl"),
        ("-c other.toml", None, "file.sock", "other.sock"),
    ],
)
def test_which_server_is_asked(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, words: str, variable: str | None, file: str | None, path: str
) -> None:
    """The flag, the variable, the configuration file, and else where ``auto`` puts the socket, in this order."""
    if variable:
        monkeypatch.setenv("WORKERKIT_CONTROL_SOCKET", variable)
    if file:
        Path("workerkit.toml").write_text(f'workers = 4\ncontrol_socket = "{file}"\n[sync]\nthreads = 1\n')
    Path("other.toml").write_text('control_socket = "other.sock"\n')

    assert cli.main(["ctl", "status", "--json", *words.split()]) == 0
    assert asked.calls[0][0] == path


def test_status_for_people(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever facts the server tells become columns, figures to the right."""
    asked.answer = STATUS
    cli.main(["ctl", "status"])

    assert capsys.readouterr().out == SHOWN


def test_status_for_programs(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` prints the answer as it came, on one line."""
    asked.answer = STATUS
    cli.main(["ctl", "status", "--json"])
    [line] = capsys.readouterr().out.splitlines()

    assert json.loads(line) == STATUS


def test_help_of_the_server(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """``help`` shows what that server knows, which may be of another version."""
    asked.answer = {"commands": {"dance": {"help": "Dance.", "arguments": {"slow": "With feeling."}}}}
    cli.main(["ctl", "help"])

    assert capsys.readouterr().out == "dance      Dance.\n  --slow   With feeling.\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["reload", "-h"]])
def test_own_help(asked: Asked, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It tells each command and fits a terminal; no server is asked."""
    assert cli.main(["ctl", *words]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert asked.calls == []
    assert [line for line in lines if len(line) > 80] == []
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= set(COMMANDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("statsu", "workerkit ctl has no command 'statsu'; did you mean 'status'?"),
        ("x", "workerkit ctl has no command 'x'; there are status, reload, reopen, stop, help"),
        ("status reload", "workerkit ctl takes one command, got status and reload"),
        ("status --wait", "unrecognized argument --wait; see workerkit ctl --help"),
        ("--wait reload", "unrecognized argument --wait; see workerkit ctl --help"),
        ("status --timeout soon", "--timeout: expected a number of seconds (such as 30, 500ms or 2m), got 'soon'"),
        ("status --socket", "--socket: expected text, got None"),
    ],
)
def test_words_that_make_no_sense(
    asked: Asked, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They end with 2, and no server is asked."""
    assert cli.main(["ctl", *words.split()]) == 2
    assert asked.calls == []
    assert capsys.readouterr().err == f"workerkit: error: {message}\n"


def test_a_refusal(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is printed as any error, or as the answer for programs; both end with the error's code."""
    asked.answer = ControlError("given up")

    assert cli.main(["ctl", "reload"]) == 1
    assert capsys.readouterr() == ("", "workerkit: error: given up\n")
    assert cli.main(["ctl", "reload", "--json"]) == 1
    assert capsys.readouterr() == ('{"ok": false, "error": "given up"}\n', "")


def test_it_is_light() -> None:
    """It imports no part of a server that serves."""
    program = "import sys, workerkit.cli.ctl; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path.cwd(), capture_output=True, text=True, check=True, timeout=30
    )
    loaded = set(done.stdout.split())

    assert {name for name in loaded if name.startswith("workerkit.")} >= {"workerkit.control.client"}
    heavy = ("workerkit.assembly", "workerkit.arbiter", "workerkit.workers", "workerkit.net", "workerkit.http")
    assert [name for name in loaded if name.startswith(heavy) or name in {"ssl", "asyncio", "logging"}] == []

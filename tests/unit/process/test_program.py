"""Starting the same program once more, with a real interpreter."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from workerkit.process.fork import fork
from workerkit.process.program import Program

TELL = """
import json, os, signal, sys
ignored = [n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN]
facts = {"words": sys.argv, "folder": os.getcwd(), "variables": dict(os.environ), "pid": os.getpid(),
         "ignored": ignored, "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
         "fds": [fd for fd in (int(word) for word in sys.argv[1:]) if os.path.exists(f"/proc/self/fd/{fd}")]}
open("facts.json", "w").write(json.dumps(facts))
"""


def test_the_same_program_is_started_as_it_was_at_the_start(tmp_path: Path) -> None:
    """Its words, folder and variables are those of the start, its signals untouched, its descriptors those named."""
    kept, closed = os.pipe()
    program = Program(
        (sys.executable, "-c", TELL, str(kept), str(closed)),
        str(tmp_path),
        {"LISTEN_PID": "17", "WATCHDOG_PID": "18", "NAME": "value"},
        17,
    )

    def child() -> int:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        program.execute([kept], {"MORE": "1"})

    _, status = os.waitpid(fork(child), 0)
    os.close(kept)
    os.close(closed)
    assert status == 0
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["words"] == ["-c", str(kept), str(closed)]
    assert facts["folder"] == str(tmp_path)
    assert facts["fds"] == [kept]
    assert facts["blocked"] == []
    assert set(facts["ignored"]) <= {signal.SIGPIPE, signal.SIGXFSZ}  # Python's own doing
    variables = {name: facts["variables"].get(name) for name in ("NAME", "MORE", "LISTEN_PID", "WATCHDOG_PID")}
    assert variables == {"NAME": "value", "MORE": "1", "LISTEN_PID": str(facts["pid"]), "WATCHDOG_PID": "18"}


def test_a_folder_is_remembered_by_the_name_by_which_somebody_went_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to the newest release leads to the next one; a PWD that is not true means nothing."""
    (tmp_path / "release").mkdir()
    (tmp_path / "current").symlink_to("release")
    monkeypatch.chdir(tmp_path / "current")
    real = str(tmp_path / "release")
    names = {str(tmp_path / "current"): str(tmp_path / "current"), str(tmp_path): real, "current": real, "": real}
    for named, remembered in names.items():
        monkeypatch.setenv("PWD", named)

        assert Program.of_this_process().folder == remembered


def test_the_words_are_those_of_the_interpreter() -> None:
    """What stands before the module's name, such as -X or -m, belongs to it."""
    assert Program.of_this_process().words == (sys.executable, *sys.orig_argv[1:])

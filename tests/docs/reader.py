"""Does what a page tells its reader to do, in a folder of its own.

Every command is run by a shell that finds the tested ``workerkit`` and ``python3`` first. One that says
``Listening at:`` is a server: it stays until the page starts another one, or ends, and is then told to leave. Port
8000, which the pages use, is taken to be a free one. Of the output that a page shows, each line has to come; numbers
in it (process ids, times, ports) may be others.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pages import ROOT, Block

_INSTALL = re.compile(r"^python3 -m pip install \S+(?: && )?")
_MAY_SERVE = re.compile(r"^(workerkit(?! ctl\b)|python3)\b(?!.*&&)")
_CONFIGURATION = re.compile(r"^workerkit\.toml$|\.conf\.py$")
_DEADLINE = 30


class Reader:
    """One reader of one page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server: subprocess.Popen[str] | None = None
        self._log: list[str] = []
        # Bound and not listening, it keeps the port from others, and with SO_REUSEADDR leaves it to the server.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port = self._reserved.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reserved.close()
        if self._server is None:
            return
        if error is None:
            self._stop_server()
        else:
            self._server.kill()
            self._server.communicate()

    def follow(self, block: Block) -> None:
        """Do what the block asks for."""
        text = self._here(block.text)
        if block.not_run:
            self._only_compile(block, text)
        elif block.file:
            self._save(block.file, text)
        elif block.language == "python":
            self._run_to_completion(["python3", "-c", text], block)
        elif block.language == "console":
            for command, output in block.commands():
                self._do(self._here(command), output, block)
        else:
            raise AssertionError(f"{block.place}: what is a reader to do with {block.language!r}?")

    def _here(self, text: str) -> str:
        return text.replace("8000", str(self.port))

    def _only_compile(self, block: Block, text: str) -> None:
        if block.language == "python":
            compile(text, block.place, "exec")

    def _save(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if _CONFIGURATION.search(name):
            self._check_configuration(name)

    def _check_configuration(self, name: str) -> None:
        """Have the real command say that the file can be used."""
        command = f"workerkit --check-config --config {name}"
        if not re.search("^wsgi_app", (self.folder / name).read_text(), re.MULTILINE):
            command += " wsgiref.simple_server:demo_app"
        done = self._run_to_completion(["bash", "-c", command], None)
        assert "OK: " in done, done

    # -- commands ------------------------------------------------------------------------------------------------

    def _do(self, command: str, output: list[str], block: Block) -> None:
        command = _INSTALL.sub("", command)  # whoever runs the tests has installed it
        if not command:
            return
        if _MAY_SERVE.match(command) and not block.exits:
            said = self._run_server(command, output, block)
        else:
            said = self._run_to_completion(["bash", "-c", command], block)
        self._assert_said(output, said, block)

    def _run_to_completion(self, words: list[str], block: Block | None) -> str:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEADLINE,
            check=False,
        )
        expected = block.exits if block else 0
        assert done.returncode == expected, f"{words} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def _run_server(self, command: str, output: list[str], block: Block) -> str:
        """Run what may be a server until it has said what the page shows, or has ended."""
        if self._server is not None:
            self._stop_server()
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert server.stdout is not None
        said = _read_until([*output, "Listening at:"], server.stdout)
        if "Listening at:" in said:
            self._server = server
        else:
            rest, _ = server.communicate(timeout=_DEADLINE)
            said += rest
            assert server.returncode == 0, f"{block.place}: {command} ended with {server.returncode}:\n{said}"
        return said

    def _stop_server(self) -> None:
        server, self._server = self._server, None
        assert server is not None
        with suppress(ProcessLookupError):  # the page may have ended it
            server.terminate()
        said, _ = server.communicate(timeout=_DEADLINE)
        assert server.returncode == 0, f"the server ended with {server.returncode}:\n{said}"
        assert "Traceback" not in said, said

    def _assert_said(self, shown: Iterable[str], said: str, block: Block) -> None:
        lines = {_without_numbers(line) for line in said.splitlines()}
        missing = [line for line in shown if _without_numbers(line) not in lines]
        assert not missing, f"{block.place}: the page shows {missing}, but this came:\n{said}"

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("WORKERKIT_", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"))
        }
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "80",
            "PORT": str(self.port),  # where a page names no address
        }


def _without_numbers(line: str) -> str:
    return re.sub(r"\d+", "0", line).strip()


def _read_until(wanted: Iterable[str], stream: IO[str]) -> str:
    """Read until the texts have come, numbers aside, as often as they are wanted, or the stream has ended."""
    missing = [_without_numbers(text) for text in wanted]
    said = []
    for line in stream:
        said.append(line)
        for text in {text for text in missing if text in _without_numbers(line)}:
            missing.remove(text)
        if not missing:
            break
    return "".join(said)

"""Becoming a daemon: what the command that was typed learns, and what the daemon is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workerkit.errors import ConfigError
from workerkit.process.daemon import Starter, daemonize, refuse_where_senseless
from workerkit.process.fork import fork


def answer_of(serve, folder: Path) -> tuple[int, str]:
    """Run ``daemonize`` in a child, whose own children then are nobody's in this process."""
    path = folder / "answer"

    def child() -> int:
        code, message = daemonize(serve)
        path.write_text(f"{code}\n{message}")
        return 0

    os.waitpid(fork(child), 0)
    code, _, message = path.read_text().partition("\n")
    return int(code), message


def test_the_command_ends_when_the_server_is_up(tmp_path: Path) -> None:
    """Not before, and with 0; the daemon goes on after that."""
    os.mkfifo(tmp_path / "after")

    def serve(starter: Starter) -> int:
        starter.on_ready()
        (tmp_path / "after").write_text(f"{os.getsid(0) == os.getpid()} {os.getppid()}")
        return 0

    assert answer_of(serve, tmp_path) == (0, "")
    leads_session, _ = (tmp_path / "after").read_text().split()
    assert leads_session == "False"


def test_the_command_ends_with_the_reason_why_there_is_no_server(tmp_path: Path) -> None:
    """Exit code and message of the daemon are those of the command."""

    def serve(starter: Starter) -> int:
        starter.tell(3, "the café is closed\nfor today")
        return 3

    assert answer_of(serve, tmp_path) == (3, "the café is closed\nfor today")


def test_a_daemon_that_dies_without_a_word(tmp_path: Path) -> None:
    """Whoever waits is told at once that there is no server."""

    def serve(starter: Starter) -> int:
        os.kill(os.getpid(), 9)
        return 0

    assert answer_of(serve, tmp_path) == (70, "the daemon ended before it could say why")


def test_a_daemon_that_ends_by_itself(tmp_path: Path) -> None:
    """What it returns is the command's exit code, if it has not answered before."""
    assert answer_of(lambda starter: 4, tmp_path) == (4, "")


def test_a_daemon_has_no_terminal(tmp_path: Path) -> None:
    """Its three standard descriptors are the null device."""

    def serve(starter: Starter) -> int:
        starter.tell(0, " ".join(os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)))
        return 0

    assert answer_of(serve, tmp_path) == (0, "/dev/null /dev/null /dev/null")


def test_nobody_waits_any_more() -> None:
    """A command that was interrupted does not take the server with it; a child has nothing to say."""
    reader, writer = os.pipe()
    os.close(reader)
    starter = Starter(writer)
    starter.tell(0)
    starter.tell(0)
    starter.forget()


@pytest.mark.parametrize(
    ("environ", "workers", "word"), [({"NOTIFY_SOCKET": "/run/x"}, 1, "systemd"), ({}, 0, "workers is 0")]
)
def test_where_a_daemon_is_of_no_use(environ: dict[str, str], workers: int, word: str) -> None:
    """Under systemd, and without workers."""
    with pytest.raises(ConfigError, match=word):
        refuse_where_senseless(environ, workers)

    refuse_where_senseless({}, 1)

"""Workers without a socket: tasks from a table, each run at least once, whatever happens to who runs it."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import DEADLINE, EXAMPLES, Gate, Launcher, Server, wait_for_exit

TABLE = "CREATE TABLE IF NOT EXISTS tasks (id INTEGER PRIMARY KEY, command TEXT, claimed_until INTEGER DEFAULT 0)"


class Diary:
    """A pipe into which tasks write what they do."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "diary"
        os.mkfifo(self.path)
        self._descriptor = os.open(self.path, os.O_RDWR)
        self._rest = b""

    def read_line(self) -> str:
        """Wait for the next line."""
        while b"\n" not in self._rest:
            readable, _, _ = select.select([self._descriptor], [], [], DEADLINE)
            assert readable, "no task wrote anything"
            self._rest += os.read(self._descriptor, 4096)
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def read_lines(self, count: int) -> list[str]:
        return [self.read_line() for _ in range(count)]

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def diary(tmp_path: Path) -> Iterator[Diary]:
    diary = Diary(tmp_path)
    yield diary
    diary.close()


def consume(serve: Launcher, tasks: list[str], *arguments: str) -> Server:
    """Start consumers in a folder whose table holds these tasks."""
    folder = serve.folder / "server-0"
    folder.mkdir()
    add_tasks(folder, tasks)
    words = ["--worker-class", "queue_consumer:Consumer", *arguments]
    server = Server(words, folder=folder, path=(EXAMPLES,))
    serve.servers.append(server)
    return server


def add_tasks(folder: Path, tasks: list[str]) -> None:
    table = sqlite3.connect(folder / "tasks.sqlite")
    with table:
        table.execute(TABLE)
        table.executemany("INSERT INTO tasks (command) VALUES (?)", [[task] for task in tasks])
    table.close()


def tasks_left(server: Server) -> int:
    table = sqlite3.connect(server.folder / "tasks.sqlite")
    [(count,)] = table.execute("SELECT count(*) FROM tasks").fetchall()
    table.close()
    return int(count)


def test_every_task_is_run_once(serve: Launcher, diary: Diary) -> None:
    """When nobody dies, no task is lost and none is run twice; those that come later are run too."""
    server = consume(serve, [f"echo {number} > {diary.path}" for number in range(40)], "--workers", "2")
    server.wait_for_workers(2)

    assert sorted(map(int, diary.read_lines(40))) == list(range(40))
    add_tasks(server.folder, [f"echo later > {diary.path}"])
    assert diary.read_line() == "later"
    server.stop()
    assert tasks_left(server) == 0
    assert "Listening" not in server.log.text


def test_a_task_that_fails_is_tried_again(serve: Launcher, diary: Diary) -> None:
    """A task that fails stays in the table until its claim has ended, and is run again then."""
    task = f"echo run > {diary.path}; mkdir first || exit 0; exit 1"
    server = consume(serve, [task], "--claim", "1")

    assert diary.read_lines(2) == ["run", "run"]
    server.stop()
    assert tasks_left(server) == 0


def test_a_consumer_that_is_killed_loses_nothing(serve: Launcher, diary: Diary, gate: Gate) -> None:
    """kill -9 in the middle of a task: its successor runs the task again once the claim has ended."""
    task = f"echo $PPID > {diary.path}; read line < {gate.path}"
    server = consume(serve, [task], "--claim", "1")
    [worker] = server.wait_for_workers(1)

    assert int(diary.read_line()) == worker
    os.kill(worker, signal.SIGKILL)
    wait_for_exit([worker])
    successor = int(diary.read_line())
    assert successor != worker
    # The killed worker's command waits there still, beside the new one.
    gate.open("\n\n")
    server.stop()
    assert tasks_left(server) == 0


def test_a_task_that_runs_is_finished(serve: Launcher, diary: Diary, gate: Gate) -> None:
    """A consumer that is told to leave finishes its task, and begins no other."""
    held = f"echo begun > {diary.path}; read line < {gate.path}; echo done > {diary.path}"
    server = consume(serve, [held, f"echo next > {diary.path}"])

    assert diary.read_line() == "begun"
    server.signal(signal.SIGTERM)
    server.wait_for_log("Stopping gracefully")
    gate.open("\n")
    assert diary.read_line() == "done"
    server.wait_for_end(0)
    assert tasks_left(server) == 1


def test_it_is_replaced_after_max_requests(serve: Launcher, diary: Diary) -> None:
    """Tasks count as jobs do: a consumer retires after max_requests of them."""
    server = consume(serve, [f"echo $PPID > {diary.path}"] * 6, "--max-requests", "3")

    # It works on until its successor is ready, so it may well do all of them.
    assert len(diary.read_lines(6)) == 6
    server.wait_for_log("retires after 3 requests")
    first, second = server.wait_for_workers(2)
    assert first != second

"""A queue consumer: workers with no socket; shell commands from an SQLite table, each run at least once."""

import select
import sqlite3
import subprocess
from dataclasses import dataclass, field

import workerkit

CREATE = "CREATE TABLE IF NOT EXISTS tasks (id INTEGER PRIMARY KEY, command TEXT, claimed_until INTEGER DEFAULT 0)"
CLAIM = """UPDATE tasks SET claimed_until = unixepoch() + ? WHERE id =
    (SELECT id FROM tasks WHERE claimed_until <= unixepoch() ORDER BY id LIMIT 1) RETURNING id, command"""


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """The queue consumer."""

    claim: int = field(default=60, metadata={"unit": "seconds", "help": "After which a task that is not done is free."})


class Consumer(workerkit.Worker):
    Options = ConsumerOptions

    def run(self):
        table = sqlite3.connect("tasks.sqlite", isolation_level=None)
        table.execute(CREATE)
        while self.tick() is None:  # an order to leave is seen between tasks: what has begun is finished
            claimed = table.execute(CLAIM, [self.context.class_options.claim]).fetchall()
            for number, command in claimed:
                failed = subprocess.run(command, shell=True, check=False).returncode != 0
                if not failed:  # otherwise, as after a crash, somebody takes it when the claim has ended
                    table.execute("DELETE FROM tasks WHERE id = ?", [number])
                self.count(failed)
            if not claimed:
                select.select([self.orders], [], [], self.beat_interval)


if __name__ == "__main__":
    workerkit.run(worker_class=Consumer, workers=2, signals=True)

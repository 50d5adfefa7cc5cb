"""Two pools under one arbiter: a web application that accepts tasks, and consumers that run them.

Run it by `python examples/two_pools.py`; then: curl http://127.0.0.1:8000/ -d 'echo done'
"""

import sqlite3

from queue_consumer import CREATE, Consumer

import workerkit


def accept_task(environ, start_response):
    command = environ["wsgi.input"].read().decode()
    with sqlite3.connect("tasks.sqlite") as table:
        table.execute(CREATE)
        table.execute("INSERT INTO tasks (command) VALUES (?)", [command])
    start_response("202 Accepted", [("Content-Type", "text/plain")])
    return [b"It will be done.\n"]


if __name__ == "__main__":
    workerkit.run(
        pools={
            "web": {"serve": accept_task, "worker_class": "threaded", "threads": 4, "bind": "127.0.0.1:8000"},
            "jobs": {"worker_class": Consumer, "workers": 2, "timeout": 300},
        },
        signals=True,
    )

"""--refork-after with the real command: workers share what requests have loaded, and nobody pays for it."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Launcher, Server, run_to_completion, wait_for_exit

from workerkit.process.memory import proportional
from workerkit.testing.observed import look_until
from workerkit.testing.processes import open_descriptors

Start = Callable[..., Server]
MEBIBYTE = 1 << 20


@pytest.fixture
def start(serve: Launcher) -> Start:
    """Start two workers that are forked from a mold, and that are warm after ten requests."""

    def begin(*arguments: str, **named: object) -> Server:
        return serve("fills_cache:app", "--preload", "--refork-after", "10", *arguments, workers=2, **named)

    return begin


CHOSEN = r"Reforking: worker \d \(pid: (\d+)\) is warm"


def workers(server: Server) -> list[int]:
    """Return the pids of the workers; one that has become a mold is none."""
    molds = [int(match[1]) for match in server.log.find(CHOSEN)]
    return [pid for pid in server.workers() if pid not in molds]


def load(server: Server, target: str = "/") -> None:
    """Have each worker answer."""
    missing = set(workers(server))
    for _ in range(100):
        missing.discard(int(server.fetch(target, Connection="close").body))
        if not missing:
            break
    assert not missing


def warm_up(server: Server, target: str = "/") -> None:
    """Have each worker answer, and one of the two as often as it takes."""
    load(server, target)
    for _ in range(20):
        server.fetch("/", Connection="close")


def renewed(server: Server, mark: int) -> list[int]:
    """Wait until new workers serve and the old ones are gone; return the pids of the new ones."""
    server.wait_for_log("Reforked", since=mark)
    return workers(server)


def test_workers_share_what_requests_have_loaded(start: Start) -> None:
    """50 MB that each worker has loaded for itself are there once, after the workers were made from a warm one."""
    server = start()
    load(server)
    before = sum(proportional(pid) or 0 for pid in workers(server))
    mark = server.log.mark()
    warm_up(server)
    new = renewed(server, mark)
    load(server)
    after = sum(proportional(pid) or 0 for pid in new)

    assert len(new) == 2
    assert before - after > 50 * MEBIBYTE
    [told] = server.wait_for_log(r"Reforked: .* take (\d+) MiB of memory \(PSS\), and took (\d+) MiB before")
    assert int(told[2]) - int(told[1]) > 40


def test_a_refork_leaves_nothing_open(start: Start) -> None:
    """The workers hold the descriptors that the first ones held, and no more."""
    server = start()
    before = open_descriptors(server.workers()[0])
    mark = server.log.mark()
    with server.connect() as waiting:
        warm_up(server)
        new = renewed(server, mark)
        waiting.get("/")

    assert look_until(lambda: all(len(open_descriptors(pid)) <= len(before) for pid in new))


def test_nobody_notices(start: Start) -> None:
    """Of requests that come meanwhile, on new connections and on old ones, none fails."""
    server = start()
    failures: list[str] = []
    answered = 0
    enough = threading.Event()

    def keep_asking(reuse: bool) -> None:
        nonlocal answered
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        while not enough.is_set():
            try:
                client.request("GET", "/")
                client.getresponse().read()
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
            answered += 1
            if not reuse:
                client.close()
        client.close()

    clients = [threading.Thread(target=keep_asking, args=(reuse,)) for reuse in (False, True, True)]
    for client in clients:
        client.start()
    try:
        new = renewed(server, 0)
    finally:
        enough.set()
        for client in clients:
            client.join()

    assert answered > 10
    assert failures == []
    assert len(new) == 2


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/thread", r"it runs [234] threads"),
        ("/connection", r"the application holds [246] connection\(s\) open"),
        ("/prevent", "a device is open"),
    ],
)
def test_a_process_that_cannot_be_forked_from_is_not(start: Start, target: str, reason: str) -> None:
    """What a fork cannot copy is seen: the log says what it is, and the workers go on."""
    server = start()
    warm_up(server, target)
    server.wait_for_log(f"Refork given up: worker . .* cannot be forked from: {reason}")
    server.wait_for_log(r"Worker . \(pid: \d+\) left")

    assert server.fetch("/").status == 200
    assert len(workers(server)) == 2


def test_threads_of_workerkit_are_no_obstacle(start: Start) -> None:
    """The one that looks for requests that are overdue has ended when the question is asked."""
    server = start("--request-timeout", "20")
    warm_up(server)

    assert len(renewed(server, 0)) == 2


def test_a_class_that_cannot_be_forked_from_says_so(start: Start) -> None:
    """Threads have no copies, so the threaded worker has none: this is known, and told, from the beginning."""
    server = start("--worker-class", "threaded")

    server.wait_for_log("No refork: a threaded worker cannot be forked from")


def test_one_that_dies_meanwhile(start: Start) -> None:
    """The pool goes back to the mold before, and is complete."""
    server = start()
    mark = server.log.mark()
    warm_up(server)
    [chosen] = server.wait_for_log(CHOSEN)
    os.kill(int(chosen[1]), signal.SIGKILL)
    server.wait_for_log(f"Refork given up: worker . .pid: {chosen[1]}. was ended by signal 9", since=mark)

    wait_for_exit([int(chosen[1])])
    server.wait_for_workers(1, since=mark)
    assert server.fetch("/").status == 200
    assert len(workers(server)) == 2


FAILING = """
import os, signal
import fills_cache

def post_worker_init(worker):
    # In a worker that comes from a warm mold, and only in the first of them.
    if fills_cache.filled_by and not os.path.exists("failed"):
        open("failed", "w").close()
        {what}
"""


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("raise RuntimeError('not after a fork')", "a new worker does not boot"),
        ("os.kill(fills_cache.filled_by[0], signal.SIGKILL)", r"mold \(pid: \d+\) was ended by signal 9.*"),
    ],
    ids=["worker", "mold"],
)
def test_workers_that_cannot_be_renewed(start: Start, what: str, reason: str) -> None:
    """A mold that dies, or whose first worker does not boot, is given up: the one before makes the workers again."""
    files = {"hooks.py": FAILING.format(what=what)}
    server = start("-c", "hooks.py", files=files, tracebacks=True)
    mark = server.log.mark()
    warm_up(server)
    server.wait_for_log(f"Refork given up: {reason}; the workers stay as they are", since=mark)
    assert server.fetch("/").status == 200

    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.wait_for_log("Reloaded", since=mark)
    assert server.fetch("/").status == 200


def test_a_reload_comes_first(start: Start) -> None:
    """A refork that is under way is left off; the new release has one of its own when it is warm."""
    server = start()
    old = server.workers()
    warm_up(server)
    server.wait_for_log("Reforking:")
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.wait_for_log("Reloaded", since=mark)
    wait_for_exit(old)

    mark = server.log.mark()
    warm_up(server)
    assert len(renewed(server, mark)) == 2


def test_a_worker_comes_from_the_warm_mold_again(start: Start) -> None:
    """Whoever is made later shares as well."""
    server = start()
    warm_up(server)
    [first, _] = renewed(server, 0)
    mark = server.log.mark()
    os.kill(first, signal.SIGKILL)
    [successor] = server.wait_for_workers(1, since=mark)
    load(server)

    assert (proportional(successor) or 0) < 45 * MEBIBYTE


def test_it_takes_a_preloaded_application(tmp_path: Path) -> None:
    """Without --preload there is nothing that workers could share."""
    finished = run_to_completion("fills_cache:app", "--refork-after", "10", folder=tmp_path)

    assert finished.code == 1
    assert "refork_after is for workers that share an application" in "\n".join(finished.err)

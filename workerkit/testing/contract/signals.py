"""Facts about signals, to the arbiter and to workers themselves."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from workerkit.testing.bench import Kit, at_once
from workerkit.testing.client import request
from workerkit.testing.contract.base import Facts
from workerkit.testing.observed import look_until
from workerkit.testing.processes import processes_of_group, wait_for_exit


class SignalFacts(Facts):
    """Signals."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["INT", "QUIT"])
    def test_quick_stop(self, kit: Kit, number: signal.Signals) -> None:
        """INT and QUIT to the arbiter end the server at once, whatever is in flight."""
        server = kit.launch()
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            kit.gate.wait_for_job()
            server.stop(number, timeout=3.0)

    def test_quick_stop_of_an_idle_worker(self, kit: Kit) -> None:
        """A worker that has nothing but kept connections leaves by itself when it is told to quit."""
        server = kit.launch()
        with server.connect() as connection:
            connection.get("/")
            server.stop(signal.SIGQUIT, timeout=0.9)

    def test_workers_follow_a_killed_arbiter(self, kit: Kit) -> None:
        """Half a second after the arbiter was killed no worker is left, not even one that is stuck in C code."""
        server = kit.launch(workers=2)
        children = set(processes_of_group(server.pid)) - {server.pid}
        with server.connect() as connection:
            connection.send(request("/stuck"))
            server.wait_for_log("stuck in C now")
            server.signal(signal.SIGKILL)
            wait_for_exit(children, timeout=0.5)
        server.wait_for_end(-signal.SIGKILL)

    def test_term_to_a_worker(self, kit: Kit) -> None:
        """TERM to a worker lets it finish the request in flight; it is replaced."""
        server = kit.launch()
        old = server.worker
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            held = kit.gate.wait_for_job()
            os.kill(old, signal.SIGTERM)
            server.wait_for_workers(2)
            held.release()

            assert int(connection.read_response().body) == old
        wait_for_exit([old])
        assert int(server.fetch("/").body) == server.worker

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["INT", "QUIT"])
    def test_int_and_quit_to_a_worker(self, kit: Kit, number: signal.Signals) -> None:
        """INT and QUIT to a worker make it leave at once; it is replaced."""
        server = kit.launch()
        old = server.worker
        with server.connect() as connection:
            connection.send(request(f"/held?gate={kit.gate.port}"))
            kit.gate.wait_for_job()
            os.kill(old, number)
            wait_for_exit([old], timeout=3.0)
        [_, successor] = server.wait_for_workers(2)

        assert int(server.fetch("/").body) == successor

    def test_usr1_to_a_worker(self, kit: Kit) -> None:
        """USR1 to a worker makes it open its logs anew, and it goes on serving."""
        server = kit.launch("--access-logfile", "access.log")
        file = server.folder / "access.log"
        with server.connect() as connection:
            connection.get("/number?n=1")
            look_until(lambda: "n=1" in file.read_text())
            file.rename(server.folder / "access.log.1")
            os.kill(server.worker, signal.SIGUSR1)
            for _ in range(5000):
                connection.get("/number?n=2")
                if file.exists() and file.stat().st_size:
                    break

            assert "n=2" in file.read_text()

    @pytest.mark.parametrize("name", ["HUP", "TTIN", "TTOU", "USR2", "WINCH"])
    def test_signals_that_are_not_a_workers_business(self, kit: Kit, name: str) -> None:
        """HUP, TTIN, TTOU, USR2 and WINCH to a worker change nothing: they are the arbiter's."""
        worker = int(kit.server.fetch("/").body)  # one that serves: `run` may change what it does with a signal
        os.kill(worker, signal.Signals[f"SIG{name}"])

        assert int(kit.server.fetch("/").body) == worker

    def test_hup_replaces_the_workers(self, kit: Kit) -> None:
        """HUP to the arbiter brings new workers and ends the old ones."""
        server = kit.launch(workers=2)
        old = server.wait_for_workers(2)
        new = server.reload(old)

        assert not set(old) & set(new)
        assert int(server.fetch("/").body) in new

    def test_hup_loses_nothing(self, kit: Kit) -> None:
        """Under load, HUP loses no request, on new connections and on kept ones."""
        server = kit.launch(workers=2)
        done = threading.Event()

        def fetch_kept(_: int) -> int:
            sent = 0
            connection = server.connect()
            while not done.is_set():
                reply = connection.get("/number?n=1")
                sent += reply.status == 200
                if reply.headers.get("connection") == "close":
                    connection.close()
                    connection = server.connect()
            connection.close()
            return sent

        def fetch_anew(_: int) -> int:
            sent = 0
            while not done.is_set():
                sent += server.fetch("/number?n=1").status == 200
            return sent

        def reload(_: int) -> int:
            try:
                old = server.wait_for_workers(2)
                for _ in range(2):
                    old = server.reload(old)
            finally:
                done.set()
            return 1

        parts = [reload, fetch_kept, fetch_anew, fetch_kept]
        answered = at_once(lambda number: parts[number](number), len(parts))

        assert min(answered) > 0

    def test_ttin_and_ttou(self, kit: Kit) -> None:
        """TTIN adds a worker, and TTOU takes one away."""
        server = kit.launch()
        server.signal(signal.SIGTTIN)
        grown = server.wait_for_workers(2)
        server.signal(signal.SIGTTOU)
        wait_for_exit(grown, count=1)

        assert int(server.fetch("/").body) == server.worker

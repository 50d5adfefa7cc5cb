"""Facts about listeners."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from workerkit.process.clock import monotonic
from workerkit.testing.bench import Kit
from workerkit.testing.contract.base import Facts
from workerkit.testing.deadline import DEADLINE


class ListeningFacts(Facts):
    """Listeners."""

    def test_unix_socket(self, kit: Kit) -> None:
        """A Unix socket is served, and its file is gone when the server is."""
        server = kit.launch(bind="unix:web.sock")
        with server.connect(f"unix:{server.folder / 'web.sock'}") as connection:
            answer = int(connection.get("/").body)
        worker = server.worker
        server.stop()

        assert answer == worker
        assert not Path(server.folder / "web.sock").exists()

    def test_two_listeners(self, kit: Kit) -> None:
        """Several listeners are served by one worker, and a request knows by which of them it came."""
        server = kit.launch("--bind", "127.0.0.1:0")
        ports = []
        for address in server.wait_for_addresses(2):
            with server.connect(address) as connection:
                ports.append((int(json.loads(connection.get("/facts").body)["SERVER_PORT"]), address))

        assert all(address.endswith(f":{port}") for port, address in ports)
        assert len(set(ports)) == 2

    def test_peer_is_known(self, kit: Kit) -> None:
        """The application is told the client's address."""
        assert json.loads(kit.server.fetch("/facts").body)["REMOTE_ADDR"] == "127.0.0.1"

    def test_workers_share_a_listener(self, kit: Kit) -> None:
        """Workers that share a listener all serve."""
        server = kit.launch(workers=2)
        wanted = set(server.workers())
        seen: set[int] = set()
        for _ in range(200):
            with server.connect() as one, server.connect() as another:
                seen |= {int(one.get("/").body), int(another.get("/").body)}
            if seen == wanted:
                break

        assert seen == wanted

    def test_listeners_of_their_own_are_all_served(self, kit: Kit) -> None:
        """With --reuse-port every worker is given connections, and those of one that has left go to the others."""
        server = kit.launch("--reuse-port", workers=3)
        workers = set(server.workers())
        seen: set[int] = set()
        # A worker that was ready first has the others' shares for a moment.
        until = monotonic() + DEADLINE
        while seen != workers and monotonic() < until:
            seen.add(int(server.fetch("/").body))
        assert seen == workers

        server.signal(signal.SIGTTOU)
        server.wait_for_log(r"Worker 2 \(pid: \d+\) left")

        assert len({int(server.fetch("/").body) for _ in range(200)}) == 2

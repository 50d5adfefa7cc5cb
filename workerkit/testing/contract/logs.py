"""Facts about what is written down."""

from __future__ import annotations

import re
from signal import SIGUSR1

from workerkit.testing.bench import Kit, at_once
from workerkit.testing.contract.base import Facts
from workerkit.testing.observed import look_until

ACCESS = re.compile(r'127\.0\.0\.1 - - \[[^\]]+\] "GET /number\?n=(\d+) HTTP/1\.1" 200 (\d+) "-" "-"')


class LogFacts(Facts):
    """Logs."""

    def test_each_request_has_a_line(self, kit: Kit) -> None:
        """Each of many requests at once has one complete line in the access log when the server has ended."""
        server = kit.launch("--access-logfile", "access.log")

        def fetch(client: int) -> None:
            with server.connect() as connection:
                for number in range(20):
                    connection.get(f"/number?n={client * 20 + number}")

        at_once(fetch, 10)
        server.stop()
        lines = (server.folder / "access.log").read_text().splitlines()
        told = [int(match[1]) for line in lines if (match := ACCESS.fullmatch(line))]

        assert len(told) == len(lines), f"lines that are not whole: {[x for x in lines if not ACCESS.fullmatch(x)]}"
        assert sorted(told) == list(range(200))

    def test_a_line_comes_soon(self, kit: Kit) -> None:
        """A request's line is in the access log soon after its response, though the connection stays open."""
        server = kit.launch("--access-logfile", "access.log")
        with server.connect() as connection:
            connection.get("/number?n=1")

            assert look_until(lambda: "/number?n=1" in (server.folder / "access.log").read_text(), 2.0)

    def test_error_lines_stay_whole(self, kit: Kit) -> None:
        """Lines that many requests at once write to wsgi.errors reach the error log, each one whole."""
        mark = kit.server.log.mark()
        at_once(lambda number: kit.server.fetch(f"/complain?n={number}"), 40)
        lines = kit.server.wait_for_log(r"^complaint (\d+) x{200} end$", count=40, since=mark)

        assert sorted(int(match[1]) for match in lines) == list(range(40))

    def test_usr1_reopens_the_logs(self, kit: Kit) -> None:
        """After USR1 to the arbiter a renamed access log is left alone, a new one begins, and no line is lost."""
        server = kit.launch("--access-logfile", "access.log")
        file, renamed = server.folder / "access.log", server.folder / "access.log.1"
        with server.connect() as connection:
            connection.get("/number?n=0")
            assert look_until(lambda: "n=0" in file.read_text())
            file.rename(renamed)
            server.signal(SIGUSR1)
            sent = 1
            # Each turn is a request that the worker answers and logs; the new file appears with the reopening.
            while not (file.exists() and file.stat().st_size) and sent < 5000:
                connection.get(f"/number?n={sent}")
                sent += 1
        server.stop()
        lines = renamed.read_text().splitlines() + file.read_text().splitlines()
        told = [int(match[1]) for line in lines if (match := ACCESS.fullmatch(line))]

        assert len(told) == len(lines)
        # Threads may write in another order than they answered.
        assert sorted(told) == list(range(sent))

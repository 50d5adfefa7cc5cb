"""Facts about protocols other than HTTP: a worker class knows nothing of what is said."""

from __future__ import annotations

import contextlib
from signal import SIGHUP, SIGTERM

import pytest

from workerkit.process.scoreboard import Column
from workerkit.testing.bench import Kit, WatchedServer, worker_needs
from workerkit.testing.contract.base import Facts
from workerkit.testing.observed import look_until
from workerkit.testing.processes import wait_for_exit

EXACT = "workerkit.testing.apps.exact:protocol"
TALKS = "workerkit.testing.apps.talks:protocol"
CLOSED = "a connection was closed"


def keeps_contract(server: WatchedServer) -> None:
    """Stop a server of ``exact`` and fail if its worker broke the contract in any way."""
    if not server.ended:
        server.stop()
    breaches = [match[1] for match in server.log.find("breach: (.*)")]
    assert not breaches, f"the worker broke the contract of connections: {breaches}"


class ProtocolFacts(Facts):
    """Protocols."""

    @worker_needs("call")
    def test_calls_are_run(self, kit: Kit) -> None:
        """A protocol of calls is advanced, its jobs are taken and run once, and it is advanced again."""
        server = kit.host(EXACT)
        with server.connect() as connection:
            for number in range(20):
                connection.send(b"%03d\n" % number)

                assert connection.read_line() == (b"%03d" % number)[::-1] + b"\n"
        keeps_contract(server)

    @worker_needs("call")
    def test_a_connection_is_closed_once(self, kit: Kit) -> None:
        """close() is called once for each connection, whichever side ends it."""
        server = kit.host(EXACT)
        with server.connect() as ours, server.connect() as gone, server.connect() as reset:
            for connection in (ours, gone, reset):
                connection.send(b"hello\n")
                assert connection.read_line() == b"olleh\n"
            ours.send(b"close\n")
            assert ours.at_end()
            gone.close()
            reset.reset()
            server.wait_for_log(CLOSED, count=3)
        assert server.is_idle()
        keeps_contract(server)

        assert len(server.log.find(CLOSED)) == 3

    @worker_needs("call")
    def test_deadlines_are_kept(self, kit: Kit) -> None:
        """expire() is called when a connection's deadline has passed, soon after and not before."""
        server = kit.host(EXACT)
        with server.connect() as connection:
            connection.send(b"deadline\n")

            assert connection.read_line() == b"late\n"
            assert connection.at_end()
        keeps_contract(server)

    @worker_needs("call")
    def test_pipelined_calls(self, kit: Kit) -> None:
        """Calls that come in one piece are run in order, one at a time for each connection."""
        server = kit.host(EXACT)
        with server.connect() as connection:
            connection.send(b"".join(b"%03d\nagain\n" % number for number in range(100)))
            answers = [connection.read_line() for _ in range(200)]
        keeps_contract(server)

        assert answers[::2] == [b"%s\n" % (b"%03d" % number)[::-1] for number in range(100)]
        assert set(answers[1::2]) == {b"again\n"}

    @worker_needs("call")
    def test_calls_are_drained(self, kit: Kit) -> None:
        """A worker that leaves lets the call in flight end, drains the other connections, and closes each."""
        server = kit.host(EXACT)
        with server.connect() as busy, server.connect() as idle:
            idle.send(b"hello\n")
            idle.read_line()
            busy.send(b"slow %d\n" % kit.gate.port)
            held = kit.gate.wait_for_job()
            server.begin_to_stop()
            held.release()

            assert busy.read_line().endswith(b"wols\n")
            assert idle.at_end()
            busy.close()
        server.wait_for_end(0)
        keeps_contract(server)

    @worker_needs("dialogue")
    def test_a_dialogue_is_held(self, kit: Kit) -> None:
        """A function that owns its stream reads lines and exact sizes, writes, and ends the connection by returning."""
        server = kit.host(TALKS)
        with server.connect() as connection:
            connection.send(b"hello\nexactly 100000\n" + b"x" * 100_000 + b"bye\n")
            said = [connection.read_line() for _ in range(3)]

            assert said == [b"hello\n", b"100000\n", b"the end\n"]
            assert connection.at_end()
        assert server.is_idle()

    @worker_needs("dialogue")
    def test_dialogues_are_held_at_the_same_time(self, kit: Kit) -> None:
        """Several dialogues go on at the same time in one worker, each in its turn."""
        server = kit.host(TALKS)
        with contextlib.ExitStack() as clients:
            connections = [clients.enter_context(server.connect()) for _ in range(4)]
            for turn in range(3):
                for number, connection in enumerate(connections):
                    connection.send(b"%d %d\n" % (turn, number))
                said = [connection.read_line() for connection in connections]

                assert said == [b"%d %d\n" % (turn, number) for number in range(4)]

    @worker_needs("dialogue")
    def test_a_dialogue_is_drained(self, kit: Kit) -> None:
        """A dialogue that waits sees the end of its input when the worker is told to leave, and may still answer."""
        server = kit.host(TALKS)
        with server.connect() as connection:
            connection.send(b"hello\n")
            connection.read_line()
            server.signal(SIGTERM)

            assert connection.read_line() == b"the end\n"
            assert connection.at_end()
        server.wait_for_end(0)

    @worker_needs("dialogue")
    def test_a_working_dialogue_is_drained(self, kit: Kit) -> None:
        """A dialogue that is at work when the worker is told to leave finishes, and sees the end when it reads."""
        server = kit.host(TALKS)
        with server.connect() as connection:
            connection.send(b"gate %d\n" % kit.gate.port)
            held = kit.gate.wait_for_job()
            server.begin_to_stop()
            held.release()

            assert [connection.read_line(), connection.read_line()] == [b"passed\n", b"the end\n"]
        server.wait_for_end(0)

    @worker_needs("dialogue")
    def test_a_dialogue_that_fails(self, kit: Kit) -> None:
        """A dialogue that raises is logged and closed, and its worker goes on."""
        server = kit.host(TALKS)
        with server.connect() as connection:
            connection.send(b"fail\n")

            assert connection.at_end()
        server.wait_for_log("this dialogue fails on purpose")
        with server.connect() as connection:
            connection.send(b"pid\n")

            assert int(connection.read_line()) == server.worker

    @worker_needs("dialogue")
    def test_dialogues_are_counted(self, kit: Kit) -> None:
        """A dialogue is busy while it lives, and counts as one job when it has ended."""
        server = kit.host(TALKS)
        figures = server.statistics
        with server.connect() as connection:
            connection.send(b"hello\n")
            connection.read_line()
            busy = look_until(lambda: figures.total(Column.BUSY) == 1)
        assert busy
        assert server.is_idle()
        assert figures.comes_to(Column.REQUESTS, 1)

    @pytest.mark.parametrize("job", ["call", "dialogue"])
    def test_jobs_that_it_does_not_run_are_refused(self, kit: Kit, job: str) -> None:
        """A protocol whose jobs the class does not declare is refused at start, with code 1, and both are named."""
        if job in kit.worker_class.jobs:
            pytest.skip(f"not applicable: {kit.worker} runs jobs of the kind {job!r}")
        finished = kit.run_host(EXACT if job == "call" else TALKS)

        assert finished.code == 1
        assert any(job in line for line in finished.err)

    @worker_needs("dialogue")
    def test_dialogues_are_reloaded(self, kit: Kit) -> None:
        """HUP ends dialogues by the end of their input, and new ones are held by new workers."""
        server = kit.host(TALKS)
        old = server.worker
        with server.connect() as connection:
            connection.send(b"hello\n")
            connection.read_line()
            server.signal(SIGHUP)

            assert connection.read_line() == b"the end\n"
        wait_for_exit([old])
        with server.connect() as connection:
            connection.send(b"pid\n")

            assert int(connection.read_line()) == server.worker

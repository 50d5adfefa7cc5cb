"""The threaded worker's threads, in one process, where they could get in each other's way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from crew import BRIEF, DEADLINE, Crew, http, read_response, request

from workerkit.net.handover import Handover
from workerkit.net.poller import READ, Poller, make_poller, wait_for
from workerkit.process.messages import Drain
from workerkit.protocols.http1 import Http1Connection
from workerkit.workers.base import Order
from workerkit.workers.polling import ThreadOptions
from workerkit.workers.threaded import ThreadedWorker


class Checkpoint:
    """A place where a thread waits until the test lets it go on."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._open = threading.Event()

    def pass_through(self) -> None:
        self._came.set()
        assert self._open.wait(DEADLINE)

    def wait_for_somebody(self) -> None:
        assert self._came.wait(DEADLINE)

    def open(self) -> None:
        self._open.set()


class HesitantPoller:
    """A poller in which a thread that has been marked hesitates before it registers anything."""

    def __init__(self, hesitation: Checkpoint) -> None:
        self._poller: Poller = make_poller()
        self._hesitation = hesitation
        self.hesitant: threading.Thread | None = None
        self.has_another_leader = threading.Event()
        self.modify = self._poller.modify
        self.unregister = self._poller.unregister
        self.fileno = self._poller.fileno
        self.close = self._poller.close

    def register(self, fd: int, mask: int, /) -> None:
        if threading.current_thread() is self.hesitant:
            self._hesitation.pass_through()
        self._poller.register(fd, mask)

    def poll(self, timeout: float, at_most: int = -1, /) -> list[tuple[int, int]]:
        if self.hesitant not in (None, threading.current_thread()):
            self.has_another_leader.set()
        return self._poller.poll(timeout, at_most)


class Workshop:
    """A threaded worker of two threads that runs; its jobs, but for ``/quick``, wait at a checkpoint."""

    def __init__(self, crew: Crew, handover: Handover, worker_class: type[ThreadedWorker]) -> None:
        self.job = Checkpoint()
        self.waiting_jobs: list[threading.Thread] = []
        self.returning = Checkpoint()
        self._crew = crew
        crew.listen()
        context = crew.context(
            handover=handover,
            serve=http(self._answer, keepalive=30.0),
            class_options=ThreadOptions(threads=2),
            options=BRIEF,
        )
        self.worker = worker_class(context)
        self.worker.poller.close()
        self.worker.poller = self.poller = HesitantPoller(self.returning)
        self.worker.boot()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except Exception as error:  # noqa: BLE001  the test looks at it
            self.failure = error

    def _answer(self, exchange: Http1Connection) -> None:
        if exchange.head.path != "/quick":
            self.poller.hesitant = threading.current_thread()
            self.waiting_jobs.append(threading.current_thread())
            self.job.pass_through()
        exchange.respond("200 OK", [], b"done")

    def wait_for_end(self) -> None:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self.job.open()
        self.returning.open()
        self._crew.send(Drain(last=True, hand_over=False))
        self._thread.join(DEADLINE)
        self.worker.close()


@pytest.fixture
def handover() -> Iterator[Handover]:
    made = Handover()
    yield made
    made.close()


def test_a_connection_that_a_thread_gives_back_while_the_worker_begins_to_leave_is_handed_over(
    crew: Crew, handover: Handover
) -> None:
    """The order to leave may come at any moment of a job that has lost the lead; the connection is not forgotten."""

    class Told(ThreadedWorker):
        is_told = threading.Event()

        def on_event(self, fd: int) -> bool:
            self.is_told.set()
            return super().on_event(fd)

    workshop = Workshop(crew, handover, Told)
    try:
        client = crew.connect(request("/"))
        workshop.job.wait_for_somebody()
        assert workshop.poller.has_another_leader.wait(DEADLINE), "the thread has kept the lead"
        workshop.job.open()
        workshop.returning.wait_for_somebody()
        crew.send(Drain(last=False, hand_over=True))
        assert Told.is_told.wait(DEADLINE)
        workshop.returning.open()
        workshop.wait_for_end()

        assert workshop.failure is None
        assert read_response(client)[1] == b"done"
        assert wait_for(handover.fileno(), READ, DEADLINE)
        taken = handover.receive()
        with taken.socket, socket.socket(fileno=client.detach()) as peer:
            assert taken.socket.getpeername() == peer.getsockname()
    finally:
        workshop.close()


def test_a_fault_of_the_loop_in_a_job_thread_ends_the_worker(crew: Crew, handover: Handover) -> None:
    """It would otherwise live on without anybody who leads."""

    class Broken(ThreadedWorker):
        def obey(self, order: Order | None) -> bool:
            raise OSError("the loop is broken")

    workshop = Workshop(crew, handover, Broken)
    try:
        crew.send(Drain(last=False, hand_over=True))
        workshop.wait_for_end()

        assert str(workshop.failure) == "the loop is broken"
    finally:
        workshop.close()


def test_jobs_that_have_ended_before_let_nobody_into_a_full_worker(crew: Crew, handover: Handover) -> None:
    """Newcomers take turns with those who are here only for jobs that kept them out; others made no room."""

    class Watched(ThreadedWorker):
        newcomer: socket.socket | None = None
        looks = threading.Semaphore(0)

        def _lead_until_a_thread_is_free(self) -> None:
            self._let_somebody_come()
            super()._lead_until_a_thread_is_free()

        def _welcome_some(self) -> None:
            self._let_somebody_come()
            super()._welcome_some()
            if self.newcomer is not None:
                self.looks.release()

        def _let_somebody_come(self) -> None:
            if len(workshop.waiting_jobs) == 2 and self.newcomer is None:
                self.newcomer = crew.connect(request("/quick"))

    workshop = Workshop(crew, handover, Watched)
    workshop.returning.open()
    try:
        known = crew.connect()
        for _ in range(3):
            known.sendall(request("/quick"))
            read_response(known)
        busy = [crew.connect(request("/")) for _ in range(2)]
        for _ in range(3):
            assert Watched.looks.acquire(timeout=DEADLINE), "the main thread never led"

        assert len(workshop.worker.connections) == 3
        workshop.job.open()
        newcomer = workshop.worker.newcomer
        assert [read_response(client)[1] for client in (*busy, newcomer)] == [b"done"] * 3
    finally:
        workshop.close()

"""The arbiter's loop: what is due runs, in an order that can be relied upon."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from workerkit.process.loop import EventLoop


class Clock:
    """Stands still unless a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Jumping(Clock):
    """Half a minute passes whenever it is looked at."""

    def __call__(self) -> float:
        self.now += 30.0
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[EventLoop]:
    loop = EventLoop(clock)
    loop.open()
    yield loop
    loop.close()


def test_what_is_readable_comes_before_what_was_called_for(loop: EventLoop) -> None:
    """A process's last words are heard before its death, whichever was noticed first."""
    ours, theirs = socket.socketpair()
    order: list[str] = []
    loop.call_soon(lambda: order.append("called"))
    loop.watch(ours, lambda: order.append("read"))
    theirs.send(b"x")
    loop.turn()

    assert order == ["read", "called"]
    ours.close()
    theirs.close()


def test_a_call_from_another_thread_wakes_the_loop(loop: EventLoop) -> None:
    """Nothing else has to happen for it to be run."""
    seen: list[str] = []
    thread = threading.Thread(target=lambda: loop.call_soon(lambda: seen.append("called")))
    thread.start()
    while not seen:
        loop.turn()
    thread.join()


def test_what_is_called_for_meanwhile_has_the_next_turn(loop: EventLoop) -> None:
    """Between two turns there is time to plan."""
    seen: list[int] = []
    loop.call_soon(lambda: loop.call_soon(lambda: seen.append(2)))
    loop.turn()
    assert seen == []
    loop.turn()
    assert seen == [2]


def test_a_call_before_the_loop_is_open_is_kept(clock: Clock) -> None:
    """Whoever asks early is not forgotten."""
    loop = EventLoop(clock)
    seen: list[int] = []
    loop.call_soon(lambda: seen.append(1))
    loop.open()
    loop.turn()
    loop.close()

    assert seen == [1]


def test_timers_fire_in_their_order(loop: EventLoop, clock: Clock) -> None:
    """Each when it is due and not before; one that was cancelled never."""
    seen: list[str] = []
    loop.call_at(103.0, lambda: seen.append("late"))
    loop.call_at(101.0, lambda: seen.append("early"))
    loop.call_at(101.0, lambda: seen.append("cancelled")).cancel()
    loop.turn(until=clock.now)
    assert seen == []
    clock.now = 102.0
    loop.turn(until=clock.now)
    assert seen == ["early"]
    clock.now = 103.0
    loop.turn()
    assert seen == ["early", "late"]


def test_a_descriptor_that_was_unwatched_in_this_turn_is_left_alone(loop: EventLoop) -> None:
    """Of two that are readable, the first callback may close the second."""
    pairs = [socket.socketpair() for _ in range(2)]
    seen: list[int] = []

    def read(number: int) -> None:
        seen.append(number)
        loop.unwatch(pairs[1 - number][0])

    for number, (ours, theirs) in enumerate(pairs):
        loop.watch(ours, lambda number=number: read(number))  # type: ignore[misc]
        theirs.send(b"x")
    loop.turn()

    assert len(seen) == 1
    for pair in pairs:
        for end in pair:
            end.close()


def test_oversleeping_is_noticed(loop: EventLoop, clock: Clock) -> None:
    """After this process was stopped itself, what is overdue proves nothing about others."""
    ours, theirs = socket.socketpair()
    loop.watch(ours, lambda: None)
    theirs.send(b"x")
    loop.turn(until=clock.now + 0.5)
    loop.clock = Jumping()
    loop.turn(until=None)
    calm = loop.awake_since
    loop.turn(until=0.0)
    ours.close()
    theirs.close()

    assert calm == 0.0
    assert loop.awake_since == loop.clock.now


def test_forgetting_leaves_the_watched_open(loop: EventLoop) -> None:
    """A child closes what is the loop's own, and nothing else."""
    reader, writer = os.pipe()
    loop.watch(reader, lambda: None)
    loop.forget()

    os.fstat(reader)
    os.close(reader)
    os.close(writer)

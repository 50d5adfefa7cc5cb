"""Signals as bytes on a descriptor."""

from __future__ import annotations

import os
import signal

from workerkit.net.poller import READ, wait_for
from workerkit.process.fork import fork
from workerkit.process.signals import SignalQueue, deliver


def test_a_signal_waits_in_the_queue() -> None:
    """A signal makes the descriptor readable, is received once, and disturbs nothing else."""
    queue = SignalQueue([signal.SIGUSR1, signal.SIGHUP])
    try:
        assert queue.receive() == []
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGUSR1)

        assert wait_for(queue.fileno(), READ, 5.0)
        assert queue.receive() == [signal.SIGHUP, signal.SIGUSR1]
        assert queue.receive() == []
    finally:
        queue.close()


def test_closing_puts_everything_back() -> None:
    """After close, the caller's handler and wake-up descriptor are in force again."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        SignalQueue([signal.SIGUSR1]).close()

        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_child_forgets_its_parents_queue() -> None:
    """A forked child closes its copies and changes no handler of its own by that."""
    queue = SignalQueue([signal.SIGUSR1])

    def child() -> int:
        handler = signal.getsignal(signal.SIGUSR1)
        queue.forget()
        return int(queue.fileno() != -1 or signal.getsignal(signal.SIGUSR1) is not handler)

    try:
        _, status = os.waitpid(fork(child), 0)
        assert status == 0
        signal.raise_signal(signal.SIGUSR1)
        assert queue.receive() == [signal.SIGUSR1]
    finally:
        queue.close()


def test_a_worker_is_called_with_the_number() -> None:
    """A signal that is sent to a worker reaches its receiver, by number."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)}
    told: list[int] = []
    try:
        deliver(before, told.append)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert told == [signal.SIGTERM, signal.SIGUSR1]

"""The command changes the process that it runs in; here that is the tests' own."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from workerkit.process.signals import STOP_AND_CONTROL


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    """Put back what the command does about signals for the rest of its life."""
    before = {number: signal.getsignal(number) for number in STOP_AND_CONTROL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)

"""Dialogues: plain functions that own their connection until they return."""

from __future__ import annotations

import os

from workerkit.net.stream import Stream
from workerkit.protocols.dialogue import dialogue
from workerkit.testing.gate import pass_gate


def talk(stream: Stream) -> None:
    """Echo lines; ``pid``, ``gate PORT``, ``fail``, ``exactly N`` and ``bye`` mean something."""
    for line in stream.lines(limit=1 << 20):
        match line.split():
            case [b"pid"]:
                stream.write(b"%d\n" % os.getpid())
            case [b"gate", port]:
                pass_gate(int(port))
                stream.write(b"passed\n")
            case [b"fail"]:
                raise RuntimeError("this dialogue fails on purpose")
            case [b"exactly", size]:
                stream.write(b"%d\n" % len(stream.read_exactly(int(size))))
            case [b"bye"]:
                break
            case _:
                stream.write(line)
    stream.write(b"the end\n")


protocol = dialogue(talk)

"""A dialogue: echoes lines, and says good-bye at the end of its input."""

from __future__ import annotations


def talk(stream):
    for line in stream.lines():
        stream.write(line)
    stream.write(b"good-bye\n")

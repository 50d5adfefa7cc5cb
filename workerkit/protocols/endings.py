"""How a conversation ends without losing its last words.

A socket that is closed while bytes of the peer are still unread is reset, and a reset may destroy in the peer's
buffers what was sent to it last (RFC 9112 section 9.6 tells the story for HTTP; it is TCP's). So our side is closed
first, and what the peer still sends is read away for a moment.
"""

from __future__ import annotations

from typing import Final

from workerkit.net.protocol import Next
from workerkit.net.stream import Stream

LINGER_FOR: Final = 2.0
"""Seconds for which a peer may go on sending."""

_PIECE = 65536
_AT_ONCE = 16


def read_away(stream: Stream) -> Next:
    """Read and forget what the peer still sends; ``CLOSE`` at the end of its input. Never blocks.

    Raises:
        Disconnected: The connection was reset.
    """
    for _ in range(_AT_ONCE):
        data = stream.recv(_PIECE)
        if data is None:
            return Next.READ
        if not data:
            return Next.CLOSE
    return Next.AGAIN


def peer_name(stream: Stream) -> str:
    """Return how log lines call the peer."""
    peer = stream.peer
    return peer[0] if isinstance(peer, tuple) else "a local client"

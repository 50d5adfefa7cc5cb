"""The phases of a connection.

    IDLE      between requests: no byte of the next one has come
    HEAD      reading a request's head
    BODY      reading a body that is buffered before the application is called, so that a slow upload holds nobody
    CALL      a complete request waits for its job, or the job runs
    FLUSH     the job is done, the peer has not taken everything yet
    DISCARD   the application left a body unread: a little of it is read away, so that the connection can go on
    LINGER    our side is closed and the peer still sends: read until it has seen our answer (RFC 9112 section 9.6)
    CLOSED

``_STEPS`` in ``connection`` maps a phase to the method that goes on from it.
"""

from workerkit.net.protocol import Next

# Plain names, because an attribute of an enum costs the request path 0.1 µs each.
IDLE, HEAD, BODY, CALL, FLUSH, DISCARD, LINGER, CLOSED = range(8)

WAITING_FOR: tuple[Next, ...] = (
    Next.IDLE, Next.READ, Next.READ, Next.RUN, Next.WRITE, Next.READ, Next.READ, Next.CLOSE,
)  # fmt: skip
"""What a connection waits for while it is in a phase; CALL: its job waits already."""

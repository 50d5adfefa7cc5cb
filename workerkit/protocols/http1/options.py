"""The settings of HTTP connections."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False, repr=False)
class HttpOptions:
    """HTTP connections."""

    keepalive: float = field(
        default=5.0,
        metadata={
            "flags": ("--keep-alive",),
            "unit": "seconds",
            "help": "How long an idle connection is kept for its next request; 0 closes it after each response.",
        },
    )
    head_timeout: float = field(
        default=20.0,
        metadata={"unit": "seconds", "help": "Within which a request's head must have arrived; 408 after that."},
    )
    body_timeout: float = field(
        default=30.0,
        metadata={"unit": "seconds", "help": "Within which the next part of a request's body must have arrived."},
    )
    body_min_rate: int = field(
        default=500,
        metadata={
            "unit": "bytes",
            "help": "Bytes a second at which a request's body must come in the long run; a client that is slower has "
            "body-timeout until it is given up. 0: any rate will do.",
        },
    )
    write_timeout: float = field(
        default=30.0,
        metadata={"unit": "seconds", "help": "Within which a client must have taken the next part of a response."},
    )
    write_min_rate: int = field(
        default=500,
        metadata={
            "unit": "bytes",
            "help": "Bytes a second at which a client must take a response in the long run; one that is slower has "
            "write-timeout until it is given up. 0: any rate will do.",
        },
    )
    request_timeout: float = field(
        default=0.0,
        metadata={
            "unit": "seconds",
            "help": "How long the application may take for one request, sending what does not fit the "
            "response-buffer included; 0: no limit. gevent and eventlet interrupt the request and answer 503; "
            "sync and threaded cannot: they log what it does, and the worker is replaced.",
        },
    )
    max_queue_time: float = field(
        default=0.0,
        metadata={
            "unit": "seconds",
            "help": "Answer 503 with Retry-After to a request that has waited longer than this for its turn; 0: never.",
        },
    )
    request_memory: int = field(
        default=65536,
        metadata={"unit": "bytes", "help": "A request's body is buffered in memory up to this, then in a file."},
    )
    request_buffer: int = field(
        default=64 * 1024 * 1024,
        metadata={
            "unit": "bytes",
            "help": "Bodies up to this are buffered before the application is called; larger ones stream, "
            "and hold a worker's thread for as long as they take.",
        },
    )
    response_memory: int = field(
        default=65536,
        metadata={
            "unit": "bytes",
            "help": "What a slow client has not taken waits in memory up to this, then in a file.",
        },
    )
    response_buffer: int = field(
        default=256 * 1024 * 1024,
        metadata={
            "unit": "bytes",
            "help": "Past this, the application waits for its slow client, under write-timeout.",
        },
    )
    server_header: str = field(
        default="workerkit",
        metadata={"metavar": "NAME", "help": "What the Server field of responses says; empty: no such field."},
    )
    sendfile: bool = field(
        default=True,
        metadata={"help": "Send wsgi.file_wrapper files by sendfile(2)."},
    )

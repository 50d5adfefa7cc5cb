"""What stands before a gateway when it is asked for: limits on waiting, and on the time that a request takes.

Each wraps a gateway, so that a server that asks for none pays for none.
"""

from __future__ import annotations

import logging
import threading
from typing import Final, cast

from workerkit.net.job_deadline import JobDeadlines
from workerkit.process.clock import Clock
from workerkit.protocols.http1.context import Gateway, Http1Context
from workerkit.protocols.http1.exchange import Http1Exchange
from workerkit.wsgi.exchange import Exchange

LATE_AFTER: Final = 0.05
"""Seconds that a request may wait before it is one that another worker should have served."""
_LOG_EVERY: Final = 1.0
_RETRY_AFTER: Final = "1"
_REFUSAL: Final = b"503 Service Unavailable: more requests wait than can be served in time; try again\n"


def guard(protocol: Http1Context, *, autoscaled: bool = False) -> None:
    """Put what the options ask for before a protocol's gateway, and what ``--workers MIN..MAX`` does."""
    options = protocol.options
    if options.request_timeout > 0:
        protocol.job_deadlines = JobDeadlines(options.request_timeout, protocol.clock)
        protocol.gateway = TimedGateway(protocol.gateway, protocol.job_deadlines)
    if options.max_queue_time > 0:
        protocol.gateway = SheddingGateway(protocol.gateway, protocol, options.max_queue_time)
    if autoscaled:
        # Before all others: who is turned away has waited too.
        protocol.gateway = WatchedGateway(protocol.gateway, protocol)


class TimedGateway:
    """Gives every request a deadline, which the worker keeps."""

    def __init__(self, gateway: Gateway, deadlines: JobDeadlines) -> None:
        self._gateway = gateway
        self._deadlines = deadlines

    def __call__(self, exchange: Exchange) -> None:
        """Answer the exchange's request; in a job.

        Raises:
            RequestOverdue: The worker has interrupted it.
        """
        connection = cast("Http1Exchange", exchange)
        connection.job_deadline = deadline = self._deadlines.begin(connection.describe_request)
        try:
            self._gateway(exchange)
        finally:
            self._deadlines.end(deadline)
            connection.job_deadline = None


class SheddingGateway:
    """Turns requests away that have waited for too long, at next to no cost, so that the others need not wait so."""

    def __init__(self, gateway: Gateway, protocol: Http1Context, longest: float) -> None:
        self._gateway = gateway
        self._protocol = protocol
        self._longest = longest
        self._report = _Report(protocol.log, protocol.clock)

    def __call__(self, exchange: Exchange) -> None:
        """Answer the exchange's request; in a job."""
        waited = cast("Http1Exchange", exchange).waited()
        if waited > self._longest:
            self._protocol.jobs_shed = self._report.add(waited)
            fields = [("Content-Type", "text/plain"), ("Retry-After", _RETRY_AFTER)]
            exchange.respond("503 Service Unavailable", fields, _REFUSAL)
            return
        self._gateway(exchange)


class WatchedGateway:
    """Has the worker show when requests have waited for long, so that the arbiter adds workers."""

    def __init__(self, gateway: Gateway, protocol: Http1Context) -> None:
        self._gateway = gateway
        self._protocol = protocol

    def __call__(self, exchange: Exchange) -> None:
        """Answer the exchange's request; in a job."""
        if cast("Http1Exchange", exchange).waited() > LATE_AFTER and (tell := self._protocol.on_late_job) is not None:
            tell()
        self._gateway(exchange)


class _Report:
    """Tells the log, once a second at most, how many were turned away."""

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._count = self._told = 0
        self._next_at = 0.0

    def add(self, waited: float) -> int:
        """Count one; return how many there have been."""
        with self._lock:
            self._count += 1
            count, now = self._count, self._clock()
            if now < self._next_at:
                return count
            self._next_at = now + _LOG_EVERY
            new, self._told = count - self._told, count
        self._log.warning("Overloaded: %d requests were turned away with 503, the last after %.1f s", new, waited)
        return count

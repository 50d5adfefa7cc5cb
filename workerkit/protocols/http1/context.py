"""What the connections of one worker share."""

from __future__ import annotations

import logging
from collections.abc import Callable

from workerkit.http import response
from workerkit.http.limits import HttpLimits
from workerkit.http.request import FieldsCache
from workerkit.net.protocol import Protocol
from workerkit.process.clock import Clock, gmtime, monotonic, wall_clock
from workerkit.protocols.http1.options import HttpOptions
from workerkit.protocols.http1.pace import Pace
from workerkit.telemetry.access import AccessLog
from workerkit.wsgi.exchange import Exchange

Gateway = Callable[[Exchange], None]
"""Answers the request that the connection holds, by ``respond``, or ``start`` with ``write`` and ``send_file``."""


class Http1Context(Protocol):
    """What a connection knows of its protocol: all of ``Http1`` but how connections are made."""

    def __init__(
        self,
        gateway: Gateway,
        options: HttpOptions,
        limits: HttpLimits,
        log: logging.Logger,
        access: AccessLog | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self.gateway = gateway
        self.options = options
        self.limits = limits
        self.log = log
        self.access = access
        self.times_requests = access is not None and access.takes_time
        self.clock = clock
        self.keeps_alive = options.keepalive > 0
        self.fields_cache = FieldsCache(limits)
        self.body_pace = Pace.of(options.body_timeout, options.body_min_rate)
        self.write_pace = Pace.of(options.write_timeout, options.write_min_rate)
        self._server = b"Server: %b\r\n" % options.server_header.encode("latin-1") if options.server_header else b""
        self._dated_at = -1
        self._dated = b""

    def date_and_server(self, now: float) -> bytes:
        """Return the Date and Server fields; the date is made once a second (RFC 9110 section 6.6.1)."""
        second = int(now)
        if second != self._dated_at:
            self._dated_at = second
            self._dated = b"Date: %b\r\n%b" % (response.http_date(*gmtime(wall_clock())[:7]), self._server)
        return self._dated

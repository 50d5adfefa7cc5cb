"""HTTP/1.1 in front of a WSGI application, as worker classes and ``--protocol`` know it."""

from __future__ import annotations

from typing import Self

from workerkit.errors import AppLoadError, ConfigError
from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.net.protocol import Service
from workerkit.net.stream import Stream
from workerkit.protocols.http1.connection import Http1Connection
from workerkit.protocols.http1.context import Http1Context
from workerkit.protocols.http1.options import HttpOptions
from workerkit.wsgi.gateway import WsgiFacts, WsgiGateway
from workerkit.wsgi.interface import complaint


class Http1(Http1Context):
    """The protocol of one worker: makes its connections."""

    job = "call"
    scheme = "http"
    Options = (HttpOptions, HttpLimits, ForwardedOptions)

    @classmethod
    def serving(cls, service: Service) -> Self:
        """Serve a WSGI application; see ``Protocol.serving``."""
        application = service.served
        if not callable(application):
            raise ConfigError("nothing to serve: name an application, as in `workerkit MODULE:APP`")
        problem = complaint(application, service.name)
        if problem:
            raise AppLoadError(problem)
        options: HttpOptions = service.options(HttpOptions)
        facts = WsgiFacts(
            multithread=service.multithread,
            multiprocess=service.workers > 1,
            sendfile=options.sendfile,
            worker_class=service.worker_class,
            upgrade_environ=service.upgrade_environ,
        )
        gateway = WsgiGateway(application, facts, Trust(service.options(ForwardedOptions)))
        return cls(gateway, options, service.options(HttpLimits), service.log, service.access)

    def connect(self, stream: Stream) -> Http1Connection:
        """Return the conversation for a new connection."""
        return Http1Connection(stream, self)

"""HTTP/1.1 in front of a WSGI application, as worker classes and ``--protocol`` know it."""

from __future__ import annotations

from typing import Self

from workerkit.errors import AppLoadError, ConfigError
from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.http.response import error_response
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
    tls_scheme = "https"
    alpn = ("http/1.1",)
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
            tls=service.tls,
        )
        trust = Trust(service.options(ForwardedOptions))
        gateway = WsgiGateway(application, facts, trust)
        if service.hooks is not None:
            from workerkit.wsgi.hooked import HookedGateway  # noqa: PLC0415  only those who have such hooks pay for it

            gateway = HookedGateway(application, facts, trust, service.hooks)
        if trust.names_clients and service.access is not None:
            from workerkit.wsgi.client_environ import Clients  # noqa: PLC0415  as above

            service.access.name_clients(Clients(trust).host)
        protocol = cls(gateway, options, service.options(HttpLimits), service.log, service.access)
        if options.request_timeout > 0 or options.max_queue_time > 0 or service.autoscaled:
            from workerkit.protocols.http1.guards import guard  # noqa: PLC0415  as above

            guard(protocol, autoscaled=service.autoscaled)
        return protocol

    def connect(self, stream: Stream) -> Http1Connection:
        """Return the conversation for a new connection."""
        return Http1Connection(stream, self)

    def adopt(self, stream: Stream, state: bytes) -> Http1Connection:
        """Go on with a conversation that another worker has handed over."""
        return Http1Connection(stream, self).adopted(state)

    def plaintext_refusal(self) -> bytes:
        """Answer 400 to HTTP without TLS; see ``Protocol.plaintext_refusal``."""
        reason = "this address speaks HTTPS, and the request came in plain HTTP; ask for https:// instead"
        return error_response(400, reason, self.date_and_server(self.clock()))

"""Calls a WSGI application with hooks around each request; chosen once, so that others pay nothing for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import IO, cast

from workerkit.http.forwarded import Trust
from workerkit.process.hooks import Hooks, content_with
from workerkit.telemetry.access import Answered
from workerkit.wsgi.environ import Environ
from workerkit.wsgi.exchange import Exchange
from workerkit.wsgi.gateway import Application, WsgiFacts, WsgiGateway
from workerkit.wsgi.upgrade import UpgradeExchange

_log = logging.getLogger("workerkit.error")


class HookedGateway(WsgiGateway):
    """A gateway that calls ``pre_request`` and ``post_request``, in the job."""

    def __init__(self, application: Application, facts: WsgiFacts, trust: Trust, hooks: Hooks) -> None:
        super().__init__(application, facts, trust)
        self._hooks = hooks
        self._before = hooks.options.pre_request
        after = hooks.options.post_request
        self._after = content_with(after, 4) if after is not None else None

    def _answer(self, exchange: Exchange, environ: Environ) -> None:
        if isinstance(exchange, UpgradeExchange):
            super()._answer(exchange, environ)  # the hooks are called around all of it
        else:
            self._between_hooks(super()._answer, exchange, environ)

    def _answer_upgrade(self, exchange: Exchange, environ: Environ) -> None:
        self._between_hooks(super()._answer_upgrade, exchange, environ)

    def _between_hooks(
        self, answer: Callable[[Exchange, Environ], None], exchange: Exchange, environ: Environ
    ) -> None:
        """Call the hooks and answer; in a job. A ``pre_request`` that raises is an error like the application's."""
        request = RequestFacade(exchange, environ)
        response: ResponseFacade | None = None
        try:
            if self._before is not None:
                self._before(self._hooks.worker, request)
                request.add_fields_to(environ)
            response = ResponseFacade(exchange)
            answer(exchange, environ)
        finally:
            self._call_after(request, environ, response)

    def _call_after(self, request: RequestFacade, environ: Environ, response: ResponseFacade | None) -> None:
        if self._after is None:
            return
        try:
            self._after(self._hooks.worker, request, environ, response)
        except Exception:  # noqa: BLE001  the answer is there already, and nobody else could tell
            _log.exception("The hook post_request failed")


class RequestFacade:
    """``req``, as hooks see it."""

    def __init__(self, exchange: Exchange, environ: Environ) -> None:
        head = exchange.head
        self.method: str = head.method
        self.uri: str = environ["RAW_URI"]
        self.path: str = self.uri.partition("?")[0]
        self.query: str = environ["QUERY_STRING"]
        self.version = (1, head.minor)
        self.scheme: str = environ["wsgi.url_scheme"]
        self.headers: list[tuple[str, str]] = [
            (name.decode("latin-1").upper(), value.decode("latin-1")) for name, value in head.fields.pairs
        ]
        """What ``pre_request`` appends here reaches the environ."""
        self.remote_addr: object = exchange.stream.peer
        self.peer_addr = self.remote_addr
        self.body: IO[bytes] = exchange.body
        self._came = len(self.headers)

    def add_fields_to(self, environ: Environ) -> None:
        """Put into the environ what a hook has appended to the headers."""
        for name, value in self.headers[self._came :]:
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value


class ResponseFacade:
    """``resp``, as hooks see it: the response as far as it has come."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = cast("Answered", exchange)

    @property
    def status(self) -> str | None:
        """Such as ``200 OK``; None: the application has not said it."""
        return self._exchange.status or None

    @property
    def status_code(self) -> int | None:
        """Such as 200."""
        return int(self._exchange.status[:3]) if self._exchange.status else None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields that the application has set."""
        return list(self._exchange.response_fields)

    @property
    def sent(self) -> int:
        """The bytes of the body so far."""
        return self._exchange.sent

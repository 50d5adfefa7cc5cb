"""Certificates that change while the server runs: noticed, tried out, and then used, without a new worker.

What is new proves itself before it replaces what is old. One worker tries the files' new contents; if it can serve
with them, all workers of the pool get them, and those that are made from then on. Otherwise nothing has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from workerkit.arbiter.base import Pool
from workerkit.arbiter.children import Children
from workerkit.arbiter.crew import Crew
from workerkit.arbiter.table import Role, WorkerHandle
from workerkit.errors import ConfigError
from workerkit.process.loop import EventLoop
from workerkit.process.messages import RenewCertificates
from workerkit.process.states import State

_LOOK_EVERY = 2.0


def read_certificates(pools: Iterable[Pool]) -> list[Pool]:
    """Return the pools with what their certificate files hold now.

    Raises:
        ConfigError: One of them cannot be read.
    """
    return [pool if pool.tls is None else pool.replace(tls=pool.tls.read_again()) for pool in pools]


class CertificateWatch:
    """Looks at the files every few seconds, which costs a stat(2) for each."""

    def __init__(self, loop: EventLoop, log: logging.Logger, crews: Mapping[str, Crew], children: Children) -> None:
        self._loop = loop
        self._log = log
        self._crews = crews
        self._children = children
        self._tried_by: dict[str, WorkerHandle] = {}
        """Who is trying a pool's new certificates."""
        self._is_watching = False

    def begin(self) -> None:
        """Look at the files from now on, if there are any; again is harmless."""
        if not self._is_watching and any(crew.release.pool.tls is not None for crew in self._crews.values()):
            self._is_watching = True
            self._loop.call_at(self._loop.clock() + _LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._is_watching = False
        for crew in self._crews.values():
            tls = crew.release.pool.tls
            if tls is None or self._is_being_tried(crew):
                continue
            try:
                tls.look()
            except ConfigError as error:
                self._log.error("The changed certificates%s are not used, those before stay: %s", crew, error)
            if tls.candidate is not None:
                self._have_tried(crew, tls.candidate)
        self.begin()

    def _is_being_tried(self, crew: Crew) -> bool:
        """Whether an answer is to be expected; who was asked may have left without one."""
        handle = self._tried_by.get(crew.name)
        return handle is not None and self._children.table.get(handle.slot) is handle

    def _have_tried(self, crew: Crew, candidate: int) -> None:
        for handle in self._children.of(crew):
            is_worker = handle.role is Role.WORKER and handle.state is State.READY
            if is_worker and handle.generation == crew.release.generation:
                self._tried_by[crew.name] = handle
                self._children.tell(handle.slot, RenewCertificates(), candidate)
                return

    def ready(self, crew: Crew, handle: WorkerHandle) -> None:
        """Give a worker what came after its mold, which was made with what there was then."""
        pool = crew.release_of(handle).pool
        if pool.preload and pool.tls is not None and pool.tls.renewals:
            self._children.tell(handle.slot, RenewCertificates(), pool.tls.source.memory)

    def answered(self, crew: Crew, handle: WorkerHandle, error: str) -> None:
        """Take note of what a worker says of certificates that it was given."""
        if self._tried_by.get(crew.name) is not handle:
            if error:
                self._log.error("%s goes on with the certificates that it had: %s", str(handle).capitalize(), error)
            return
        del self._tried_by[crew.name]
        tls = crew.release_of(handle).pool.tls
        if tls is None or tls.candidate is None:
            return
        if error:
            tls.refuse()
            self._log.error("The changed certificates%s are not used, those before stay: %s", crew, error)
            return
        tls.accept()
        self._log.info("The certificates%s have changed, new connections get the new ones", crew)
        for other in self._children.of(crew):
            if other is not handle and other.role is Role.WORKER and crew.release_of(other).pool.tls is tls:
                self._children.tell(other.slot, RenewCertificates(), tls.source.memory)

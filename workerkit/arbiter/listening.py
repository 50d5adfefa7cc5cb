"""The arbiter's listening sockets: shared by the releases that need them, closed when none does any more."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Iterator

from workerkit.arbiter.base import Pool
from workerkit.net.address import Address, TCPAddress, UnixAddress, parse_address
from workerkit.net.binding import FileId
from workerkit.net.inherited import InheritedSockets
from workerkit.net.listener import Listener, ListenerOptions, open_listeners, with_passed

_Key = tuple[Address, bool, str]


class ListeningSockets:
    """All of them, by what they were asked to listen at."""

    def __init__(self) -> None:
        self._open: dict[_Key, tuple[Listener, ...]] = {}
        self.inherited = InheritedSockets()
        """What this process was started with: it is not opened a second time."""

    def of(self, pools: Iterable[Pool]) -> dict[str, tuple[Listener, ...]]:
        """Return the listeners of each pool: those that are open already as they are, the others opened now.

        Raises:
            ConfigError: An address cannot be understood.
            BindError: One cannot be had. Nothing has changed then.
        """
        found: dict[_Key, tuple[Listener, ...]] = {}
        opened: dict[_Key, tuple[Listener, ...]] = {}
        by_pool: dict[str, tuple[Listener, ...]] = {}
        try:
            for pool in pools:
                mine: list[Listener] = []
                options = with_passed(pool.listen, self.inherited) if pool.listen is not None else None
                for key, only in _keys(pool.name, options):
                    listeners = self._open.get(key) if key not in found else None
                    if listeners is None:
                        listeners = open_listeners(only, pool.scheme, pool.workers, self.inherited, pool.name)
                        opened[key] = listeners
                        pool.privileges.own(_files(listeners))
                    found[key] = listeners
                    mine += [listener.replace(scheme=pool.scheme) for listener in listeners]
                by_pool[pool.name] = tuple(mine)
        except BaseException:
            _close(opened.values(), self.inherited.shared_files)
            raise
        self._open |= opened
        return by_pool

    def keep(self, used: Iterable[Listener], shared: Container[FileId] = ()) -> None:
        """Close those that are not among these.

        Args:
            used: Those that somebody needs.
            shared: Unix sockets' files that stay, since another arbiter serves the same sockets.
        """
        sockets = {listener.socket for listener in used}
        for key, listeners in list(self._open.items()):
            if not any(listener.socket in sockets for listener in listeners):
                del self._open[key]
                _close([listeners], shared)

    def shut_out(self) -> None:
        """Let nobody new come to wait, where nobody but this server is to serve them: it stops."""
        for listener in self._all():
            listener.shut_out()

    def refuse(self) -> bool:
        """Refuse whoever comes from now on; False: somebody still waits to be accepted, so ask again later."""
        refused = [listener.refuse() for listener in self._all()]
        return all(refused)

    def _all(self) -> Iterator[Listener]:
        return (listener for group in self._open.values() for listener in group)

    def close(self, shared: Container[FileId] = ()) -> None:
        """Close all; see ``keep``."""
        self.keep((), shared)


def _keys(pool: str, options: ListenerOptions | None) -> Iterator[tuple[_Key, ListenerOptions]]:
    """Yield each address with options that name no other."""
    if options is None:
        return
    for place, bind in enumerate(options.bind):
        address = parse_address(bind)
        # Whoever asks for any free port means one of its own.
        whose = f"{pool} {place}" if isinstance(address, TCPAddress) and not address.port else ""
        yield (address, options.reuse_port, whose), dataclasses.replace(options, bind=(bind,))


def _files(listeners: Iterable[Listener]) -> Iterator[str]:
    for listener in listeners:
        if listener.file is not None and isinstance(listener.address, UnixAddress):
            yield listener.address.path


def _close(groups: Iterable[tuple[Listener, ...]], shared: Container[FileId]) -> None:
    for listeners in groups:
        for listener in listeners:
            listener.close(shared)

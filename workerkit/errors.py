"""Every exception of workerkit, under one root; each carries its consequence.

An error that ends a command has ``exit_code``; one that answers a request has ``status``. Nobody maps an
exception to a number anywhere else. ``str(error)`` is the whole message for a person: what is wrong, where it
came from, what to do. ``BootError.frames`` holds the user's own stack frames, already formatted.
"""

from __future__ import annotations


class WorkerkitError(Exception):
    """The root: whatever workerkit raises on purpose."""

    exit_code = 1


class ConfigError(WorkerkitError):
    """A setting, a configuration file or a variable that cannot be used."""


class UsageError(ConfigError):
    """A command line that cannot be used."""

    exit_code = 2


class PluginError(WorkerkitError):
    """A worker class, arbiter or protocol that is unknown, ambiguous or does not keep its contract."""


class BindError(WorkerkitError):
    """A listening socket that cannot be had: in use, not permitted, no such address."""


class BootError(WorkerkitError):
    """A worker could not boot: the application's own code raised while it was imported or started."""

    exit_code = 3

    def __init__(self, message: str, frames: str = "") -> None:
        super().__init__(message)
        self.frames = frames


class AppLoadError(BootError):
    """What was found cannot be served: no such attribute, not callable, the wrong interface."""

    exit_code = 4


class ControlError(WorkerkitError):
    """A running server did not do what it was asked to at its control socket; the message is the server's."""


class Unreachable(ControlError):
    """No running server could be asked, or it did not answer in time."""

    exit_code = 5


class ProtocolError(WorkerkitError):
    """The client's bytes break the protocol or a limit; ``status`` is the answer, after which we close."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class BrokenBody(ProtocolError, OSError):
    """A request's body broke the protocol while the application was reading it: the client's fault."""


class ApplicationError(WorkerkitError):
    """The application broke its side of the gateway contract (a bad header, a body that is too long)."""

    status = 500


class Disconnected(WorkerkitError, ConnectionError):
    """The peer went away while something was still to be read from it or written to it."""


class DeadlineExceeded(WorkerkitError, TimeoutError):
    """A wait on a stream lasted past its deadline."""


class RequestOverdue(BaseException):
    """Raised in a job that runs past its deadline, by worker classes that can interrupt it.

    No ``WorkerkitError``, and no ``Exception`` at all, as ``asyncio.CancelledError`` and ``gevent.Timeout`` are none:
    the frameworks' ways to make a page of any error would hide it. Whoever holds a resource has ``finally``.
    """

    status = 503

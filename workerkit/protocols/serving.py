"""Which protocol serves what there is to serve, when nobody has named one.

A protocol speaks for itself. A callable is told by its signature: a WSGI application takes two positional arguments
(PEP 3333), a dialogue takes one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workerkit import plugins
from workerkit.errors import ConfigError
from workerkit.net.protocol import Protocol, Service
from workerkit.signatures import ANY, arity_of

DIALOGUE = "dialogue"
HTTP = "http1"


def protocol_class(name: str) -> type[Protocol]:
    """Return the protocol that a name, ``dist#name`` or ``module:Class`` stands for.

    Raises:
        PluginError: There is none, or it does not keep the contract.
    """
    return plugins.load(plugins.PROTOCOLS, name, Protocol)


def protocol_of(served: object, name: str) -> type[Protocol]:
    """Return the protocol that serves this, ``name`` being what messages call it.

    Raises:
        ConfigError: It is no protocol and nothing that could be called, or could be either kind of callable.
    """
    if isinstance(served, Protocol):
        return type(served)
    if isinstance(served, type) and issubclass(served, Protocol):
        return served
    if not callable(served):
        raise ConfigError(f"cannot serve {name}: it is no WSGI application, no function of a stream and no Protocol")
    return protocol_class(_kind_of(served, name))


def make(chosen: type[Protocol], service: Service) -> Protocol:
    """Return the protocol of a worker; in the process that has loaded what is served.

    Raises:
        ConfigError: The chosen protocol cannot serve this.
    """
    served = service.served
    if isinstance(served, chosen):
        return served
    if served is chosen:
        return chosen.serving(service.replace(served=None))
    if isinstance(served, Protocol):
        raise ConfigError(
            f"{service.name} is a protocol itself, {type(served).__name__}, and not served by {chosen.__name__}; "
            "leave the setting protocol out"
        )
    return chosen.serving(service)


def _kind_of(served: Callable[..., Any], name: str) -> str:
    takes_one, takes_two = _takes(served)
    if takes_one and takes_two:
        raise ConfigError(
            f"{name} can be called with one argument, as a dialogue, and with two, as a WSGI application.\n"
            f'Say which it is: workerkit.dialogue({getattr(served, "__name__", "handle")}), or protocol = "{HTTP}".'
        )
    return DIALOGUE if takes_one else HTTP


def _takes(served: Callable[..., Any]) -> tuple[bool, bool]:
    """Return whether it can be called with one, and with two positional arguments."""
    for follow in (False, True):
        arity = arity_of(served, follow_wrapped=follow)
        # A decorator's wrapper takes anything; what it wraps tells more.
        if arity.at_most != ANY:
            return arity.fits(1), arity.fits(2)
    # What keeps its signature to itself is an application: there are more of them.
    return False, True

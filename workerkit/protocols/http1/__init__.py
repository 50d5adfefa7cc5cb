"""HTTP/1.1 on a connection: bytes to exchanges, responses to bytes.

The rules of the language are in ``workerkit.http``, which does no I/O; what is called to answer a request is a
gateway (``workerkit.wsgi`` has one). Here is the conversation between the two. A connection is one object with two
sides, and each class below extends the one under it:

    ``connection``   the worker's side: the phases of a connection (``phases``), the job, and what follows it
    ``reader``       the worker's side while a request comes in; its body waits, or is streamed, as ``body`` says
    ``exchange``     the gateway's side: the request that is under way, and the ways to answer it

``protocol`` makes connections, ``context`` is what those of one worker share, ``options`` their settings.
"""

from workerkit.protocols.http1.connection import Http1Connection
from workerkit.protocols.http1.context import Gateway
from workerkit.protocols.http1.options import HttpOptions
from workerkit.protocols.http1.protocol import Http1

__all__ = ["Gateway", "Http1", "Http1Connection", "HttpOptions"]

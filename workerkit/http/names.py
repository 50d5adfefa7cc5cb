"""Header fields under their CGI names (RFC 3875, 4.1.18), and which have none."""

from __future__ import annotations

from workerkit.memo import Memo

_OF_THE_BODY = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def _make_name(name: bytes) -> str | None:
    lowered = name.lower()
    if lowered in _OF_THE_BODY:
        return _OF_THE_BODY[lowered]
    # "Proxy" would become HTTP_PROXY, which HTTP clients take for the proxy that they are to use (httpoxy,
    # CVE-2016-5385). "X_Y" would pass for "X-Y", which a proxy in front may have removed or set.
    if lowered == b"proxy" or b"_" in name:
        return None
    return spelled(name)


def spelled(name: bytes) -> str:
    """The CGI name by spelling alone. Two names may share one: only for a name that is let through on purpose."""
    return "HTTP_" + name.decode("latin-1").upper().replace("-", "_")


# A client that makes names up costs an entry each; the size bounds what they can cost.
_NAMES: Memo[bytes, str | None] = Memo(_make_name, 1024)

# environ_name(name) is the name's key in an environ; None for a field that must not be in it. Called for each field
# of each request that is not known already, so it is the memo itself rather than a function around it.
environ_name = _NAMES.__getitem__

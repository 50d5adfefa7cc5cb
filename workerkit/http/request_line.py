"""The request line: method, target and version (RFC 9112, 3)."""

from __future__ import annotations

import re
from typing import NoReturn, TypeAlias

from workerkit.errors import ProtocolError
from workerkit.http import abnf
from workerkit.http.host import is_address

RequestLine: TypeAlias = tuple[str, str, str, str, str | None, int]
"""Method, target, path, query, authority (of an absolute-form target only) and minor version."""

# The methods that llhttp lists for HTTP. CONNECT is not among them: nothing here tunnels.
METHODS = {
    name: name.decode()
    for name in (
        *(b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"QUERY"),
        *(b"COPY", b"LOCK", b"MKCOL", b"MOVE", b"PROPFIND", b"PROPPATCH", b"UNLOCK", b"SEARCH"),  # WebDAV
        *(b"BIND", b"REBIND", b"UNBIND", b"ACL", b"MKCALENDAR"),
        *(b"REPORT", b"MKACTIVITY", b"CHECKOUT", b"MERGE"),  # Subversion
        *(b"M-SEARCH", b"NOTIFY", b"SUBSCRIBE", b"UNSUBSCRIBE"),  # UPnP
        *(b"PURGE", b"LINK", b"UNLINK", b"SOURCE"),
    )
}
_MINORS = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}

# Nearly every request there is: origin-form, which is the whole target as it stands.
_common_line = re.compile(rb"([A-Z]++) (" + abnf.PATH + rb"(?:\?" + abnf.QUERY + rb")?) HTTP/1\.([01])").fullmatch

_is_token = re.compile(abnf.TOKEN).fullmatch
_is_version = re.compile(rb"HTTP/([0-9])\.[0-9]").fullmatch
_is_origin_form = re.compile(abnf.PATH + rb"(?:\?" + abnf.QUERY + rb")?").fullmatch
_is_authority_form = re.compile(abnf.HOST + rb":[0-9]{1,5}").fullmatch
_is_absolute_form = re.compile(
    rb"(?i:https?)://(" + abnf.HOST_PORT + rb")(" + abnf.PATH + rb")?(?:\?(" + abnf.QUERY + rb"))?"
).fullmatch


def parse_request_line(line: bytes) -> RequestLine:
    """Judge one request line, given without its line end.

    Raises:
        ProtocolError: 400, or 501 for a method that is not served, or 505 for another major version.
    """
    match = _common_line(line)
    if match is None:
        return _parse_rare_line(line)
    name, raw_target, minor = match.groups()
    method = METHODS.get(name)
    if method is None:
        return _parse_rare_line(line)
    target = raw_target.decode("latin-1")
    path, _, query = target.partition("?")
    return method, target, path, query, None, 1 if minor == b"1" else 0


def _parse_rare_line(line: bytes) -> RequestLine:
    """Another form of target, or a line to refuse: part by part, so that the answer names what is wrong."""
    parts = line.split(b" ")
    # Lenient recipients may split at any white space (RFC 9112, 3); two that split differently disagree about the
    # target, so only the grammar's single spaces will do.
    if len(parts) != 3:
        raise ProtocolError("the request line is not METHOD, TARGET and VERSION with one space between them")
    name, target, version = parts
    minor = _parse_version(version)
    method = _parse_method(name, target)
    if target == b"*" and method == "OPTIONS":
        # asterisk-form: about the server as a whole (RFC 9112, 3.2.4)
        return method, "*", "*", "", None, minor
    if _is_origin_form(target):
        text = target.decode("latin-1")
        path, _, query = text.partition("?")
        return method, text, path, query, None, minor
    absolute = _is_absolute_form(target)
    if absolute is None:
        _refuse_target()
    # absolute-form is for proxies, but every server must accept it (RFC 9112, 3.2.2); an empty path stands for "/".
    authority, path_bytes, query_bytes = absolute.groups()
    if b"[" in authority and not is_address(authority):
        _refuse_target()
    return (
        method,
        target.decode("latin-1"),
        (path_bytes or b"/").decode("latin-1"),
        (query_bytes or b"").decode("latin-1"),
        authority.decode("latin-1"),
        minor,
    )


def _parse_version(version: bytes) -> int:
    minor = _MINORS.get(version)
    if minor is not None:
        return minor
    match = _is_version(version)
    if match is not None and match[1] >= b"2":
        raise ProtocolError("this version of HTTP is not served on this connection", 505)
    raise ProtocolError("the version is neither HTTP/1.1 nor HTTP/1.0")


def _parse_method(name: bytes, target: bytes) -> str:
    method = METHODS.get(name)
    if method is not None:
        return method
    if not _is_token(name):
        raise ProtocolError("the method is not a token")
    if name == b"CONNECT" and not _is_authority_form(target):
        _refuse_target()
    # A method that is not recognized or not implemented should get a 501 (RFC 9110, 9.1).
    raise ProtocolError("this method is not served", 501)


def _refuse_target() -> NoReturn:
    raise ProtocolError("the request target is malformed, or of a form that this method does not take")

"""Bytes on which two parsers could disagree about where a request ends. Those of ``tests.refusals`` are tried, too.

Wherever a body hides a request it is one for ``/smuggled``, which no reading that RFC 9112 allows makes a request.
Where one does, since the fields say nothing of that body, or since LF may end a line, it is one for ``/followed``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.refusals.case import Refused, Understood
from tests.refusals.catalog import GROUPS

SMUGGLED = "/smuggled"
HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
_OPEN = b"GET /smuggled HTTP/1.1\r\nX: "
"""Would take the beginning of the next request for the value of a field."""

_GROUPS = ("Request line", "Header fields", "Host", "Framing of the body", "Chunked bodies", "Spoofed header fields",
           "Advisories of other servers")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Payload:
    """What one client sends on one connection."""

    name: str
    data: bytes


def request(*fields: bytes, body: bytes = b"", line: bytes = b"POST / HTTP/1.1") -> bytes:
    """Return a request with these fields."""
    return b"\r\n".join([line, b"Host: a", *fields, b"", body])


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    """Return one chunk."""
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


_LAST = b"0\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked"
_PIPELINED = request(line=b"GET /pipelined HTTP/1.1")

_CODINGS = {
    "plain": _CHUNKED,
    "in capitals": b"TRANSFER-ENCODING: CHUNKED",
    "no space": b"Transfer-Encoding:chunked",
    "a tab": b"Transfer-Encoding:\tchunked",
    "a space behind": b"Transfer-Encoding: chunked ",
    "a space before the colon": b"Transfer-Encoding : chunked",
    "a tab before the colon": b"Transfer-Encoding\t: chunked",
    "a space before the name": b" Transfer-Encoding: chunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded by LF": b"Transfer-Encoding:\n chunked",
    "folded behind": b"Transfer-Encoding: chunked\r\n x",
    "folded in the name": b"Transfer-\r\n Encoding: chunked",
    "LF before it": b"X: x\nTransfer-Encoding: chunked",
    "CR before it": b"X: x\rTransfer-Encoding: chunked",
    "LF behind it": b"Transfer-Encoding: chunked\nX: x",
    "a vertical tab": b"Transfer-Encoding: \x0bchunked",
    "a form feed behind": b"Transfer-Encoding: chunked\x0c",
    "NUL": b"Transfer-Encoding: chunked\x00",
    "NUL in the name": b"Transfer\x00-Encoding: chunked",
    "above ASCII": b"Transfer-Encoding: \xffchunked",
    "quoted": b'Transfer-Encoding: "chunked"',
    "xchunked": b"Transfer-Encoding: xchunked",
    "identity": b"Transfer-Encoding: identity",
    "identity, then chunked": b"Transfer-Encoding: identity, chunked",
    "chunked, then identity": b"Transfer-Encoding: chunked, identity",
    "two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "two lines, turned": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "a list of one": b"Transfer-Encoding: ,chunked",
    "a parameter": b"Transfer-Encoding: chunked;x=y",
    "gzip first": b"Transfer-Encoding: gzip, chunked",
    "nothing": b"Transfer-Encoding:",
    "an underscore": b"Transfer_Encoding: chunked",
    "a dot": b"Transfer.Encoding: chunked",
    "named by Connection": b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
    "another field": b"X-Transfer-Encoding: chunked",
    "TE": b"TE: chunked",
    "Content-Encoding": b"Content-Encoding: chunked",
}
_LENGTHS = {
    "a plus": b"Content-Length: +%d",
    "a minus": b"Content-Length: -%d",
    "a space inside": b"Content-Length: 0 %d",
    "a space before the colon": b"Content-Length : %d",
    "a space before the name": b" Content-Length: %d",
    "a tab": b"Content-Length:\t%d",
    "a vertical tab": b"Content-Length: \x0b%d",
    "zeros": b"Content-Length: 00000%d",
    "hexadecimal": b"Content-Length: 0x%d",
    "a comma": b"Content-Length: %d,",
    "a list": b"Content-Length: 0, %d",
    "a list, turned": b"Content-Length: %d, 0",
    "the same in a list": b"Content-Length: %d, %d",
    "the same twice": b"Content-Length: %d\r\nContent-Length: %d",
    "two": b"Content-Length: 0\r\nContent-Length: %d",
    "two, turned": b"Content-Length: %d\r\nContent-Length: 0",
    "folded": b"Content-Length:\r\n %d",
    "folded behind": b"Content-Length: %d\r\n 0",
    "folded into another field": b"X: y\r\n Content-Length: %d",
    "LF before it": b"X: y\nContent-Length: %d",
    "CR before it": b"X: y\rContent-Length: %d",
    "NUL": b"Content-Length: %d\x00",
    "a letter": b"Content-Length: %dx",
    "a fraction": b"Content-Length: %d.0",
    "an exponent": b"Content-Length: %de0",
    "above ASCII": b"Content-Length: \xa0%d",
    "beyond 64 bits": b"Content-Length: 184467440737095516%d",
    "an underscore": b"Content_Length: %d",
    "a header that nobody reads": b"X-Content-Length: %d",
    "named by Connection": b"Connection: Content-Length\r\nContent-Length: %d",
    "named by Connection, with close": b"Connection: close, Content-Length\r\nContent-Length: %d",
}
_SIZES = {
    "a plus": b"+%x",
    "0x": b"0x%x",
    "zeros": b"0000000%x",
    "17 digits": b"000000000000000%x",
    "beyond 32 bits": b"1000000%02x",
    "beyond 64 bits": b"100000000000000%02x",
    "a space first": b" %x",
    "a space behind": b"%x ",
    "a tab behind": b"%x\t",
    "an underscore": b"0_%x",
    "a letter behind": b"%xg",
    "NUL behind": b"%x\x00",
    "LF behind": b"%x\n0",
    "CR behind": b"%x\r0",
    "an extension": b"%x;a=b",
    "an extension of 3000 bytes": b"%x;" + b"a" * 3000,
    "an extension in quotes": b'%x;a="b;c"',
    "an extension with LF": b"%x;\n",
    "an extension with CR": b"%x;a\rb",
    "an extension with LF and a size": b"%x;a\n0",
    "an extension in quotes over lines": b'%x;a="\r\n0"',
    "an extension that hides the last chunk": b"%x;\r0\r\r",
    "an extension with NUL": b"%x;a\x00",
    "an empty extension": b"%x;",
}
_ENDS = {
    "LF behind the data": b"1\r\nA\n" + _LAST,
    "CR behind the data": b"1\r\nA\r" + _LAST,
    "nothing behind the data": b"1\r\nA" + _LAST,
    "two letters behind the data": b"1\r\nAXX" + _LAST,
    "LF behind the last size": b"0\n\r\n",
    "LF for the last line": b"0\r\n\n",
    "LF for all": b"1\nA\n0\n\n",
    "CR for the last line": b"0\r\n\r",
    "letters for the last line": b"0\r\nXX",
    "an extension of the last chunk": b"0;a=b\r\n\r\n",
    "many zeros": b"00000000\r\n\r\n",
    "no size": b"\r\n\r\n",
    "a sign before zero": b"-0\r\n\r\n",
}
_TRAILERS = {
    "a field": b"X-Trailer: x\r\n",
    "a length": b"Content-Length: 40\r\n",
    "a coding": b"Transfer-Encoding: chunked\r\n",
    "a host": b"Host: evil\r\n",
    "a space before the colon": b"X : x\r\n",
    "a folded line": b"X: x\r\n y\r\n",
    "LF": b"X: x\nY: y\r\n",
    "CR": b"X: x\rY: y\r\n",
    "no colon": b"X\r\n",
    "a request line": b"GET /smuggled HTTP/1.1\r\n",
    "a request line with LF": b"X: x\n\nGET /smuggled HTTP/1.1\r\nHost: a\r\n",
    "a request as a value": b"X: GET /smuggled HTTP/1.1\r\n",
    "a head's worth": b"X: %b\r\n" % (b"x" * 7000),
}

_NO_LENGTH = ("an underscore", "a header that nobody reads", "a space before the name", "folded into another field")
_NO_CODING = ("an underscore", "a dot", "another field", "TE", "Content-Encoding", "a space before the name")
_MAY_FOLLOW = {
    *(f"{kind} with {name}" for kind in ("Content-Length", "0.CL of GET") for name in _NO_LENGTH),
    *(f"TE.CL, {name}" for name in _NO_CODING),
    "a request behind LF",
    "a trailer with a request line with LF",
}


def _unfinished(length: bytes, body: bytes) -> bytes:
    return request(length % ((len(body),) * length.count(b"%d")), body=body)


def _codings() -> list[Payload]:
    """CL.TE and TE.CL, for each way to write a coding: whoever goes by the other one finds a request in the body."""
    payloads = []
    by_coding = _LAST + HIDDEN
    for name, coding in _CODINGS.items():
        length = b"Content-Length: %d" % len(by_coding)
        short = b"Content-Length: 4"
        payloads += [
            Payload(f"CL.TE, {name}", request(length, coding, body=by_coding)),
            Payload(f"CL.TE, {name}, the coding first", request(coding, length, body=by_coding)),
            Payload(f"TE.CL, {name}", request(coding, short, body=chunk(HIDDEN) + _LAST)),
            Payload(f"TE.CL, {name}, the length first", request(short, coding, body=chunk(HIDDEN) + _LAST)),
            Payload(f"TE.0, {name}", request(coding, b"Content-Length: 0", body=chunk(HIDDEN) + _LAST)),
        ]
    second = b"Transfer-Encoding: x"
    return [
        *payloads,
        *(
            Payload(f"TE.TE, {name}", request(_CHUNKED, coding, body=chunk(HIDDEN) + _LAST))
            for name, coding in {**_CODINGS, "a second": second}.items()
        ),
        Payload("CL.TE that swallows the next request",
                request(b"Content-Length: %d" % len(_LAST + _OPEN), _CHUNKED, body=_LAST + _OPEN)),
    ]  # fmt: skip


def _chunks() -> list[Payload]:
    coded = {
        **{f"chunk size with {name}": (size % len(HIDDEN)) + b"\r\n" + HIDDEN + b"\r\n" + _LAST
           for name, size in _SIZES.items()},
        **{f"chunk size of 0 with {name}": (size % 0) + b"\r\n" + _LAST for name, size in _SIZES.items()},
        **{f"chunks with {name}": body for name, body in _ENDS.items()},
        **{f"a trailer with {name}": b"1\r\nA\r\n0\r\n" + lines + b"\r\n" for name, lines in _TRAILERS.items()},
        "many small chunks": b"".join(chunk(HIDDEN[place : place + 1]) for place in range(len(HIDDEN))) + _LAST,
        "line ends as data": chunk(b"\r\n0\r\n\r\n" + HIDDEN) + _LAST,
        "a large chunk of requests": chunk(HIDDEN * 600) + _LAST,
    }  # fmt: skip
    return [Payload(name, request(_CHUNKED, body=body)) for name, body in coded.items()] + [
        Payload(f"{name}, unread", request(_CHUNKED, body=coded[name], line=b"POST /unread HTTP/1.1"))
        for name in ("line ends as data", "a large chunk of requests", "a trailer with a length")
    ]


def _unread(size: int, *fields: bytes) -> bytes:
    body = (HIDDEN * (size // len(HIDDEN) + 1))[:size]
    return request(b"Content-Length: %d" % size, *fields, body=body, line=b"POST /unread HTTP/1.1")


def _bodies() -> list[Payload]:
    sized = b"Content-Length: %d" % len(HIDDEN)
    methods = (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PUT", b"PATCH", b"TRACE", b"BREW", b"CONNECT")
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    socket = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
    good = request(sized, body=HIDDEN)
    coded = request(_CHUNKED, body=chunk(HIDDEN) + _LAST)
    payloads = {
        **{f"{method.decode()} with a body": request(sized, body=HIDDEN, line=method + b" / HTTP/1.1")
           for method in methods},
        **{f"{method.decode()} with chunks": request(_CHUNKED, body=chunk(HIDDEN) + _LAST, line=method + b" / HTTP/1.1")
           for method in methods},
        "a body of 100 bytes unread": _unread(100),
        "a body of 3 KB unread": _unread(3000),
        "a body of 60 KB unread": _unread(60_000),
        "a body of 300 KB unread": _unread(300_000),
        "a body above the limit": _unread(2 << 20),
        "two requests": good + _PIPELINED,
        "ten requests": (good + coded) * 5,
        "requests of all kinds": good + coded + _PIPELINED + _unread(60_000) + coded + good,
        "a request and rubbish": good + b"\x00\x01\r\n\r\n",
        "a request and a bad one": good + request(b"Content-Length: x") + HIDDEN.replace(b"/smuggled", b"/behind"),
        "a request and half a head": _PIPELINED + b"GET /half HTTP/1.1\r\nHost:",
        "empty lines between": good + b"\r\n" + _PIPELINED + b"\r\n\r\n",
        "HEAD, then others": request(line=b"HEAD / HTTP/1.1") + good + request(line=b"HEAD / HTTP/1.1") + coded,
        "Expect with the body": request(b"Expect: 100-continue", sized, body=HIDDEN),
        "Expect with chunks": request(b"Expect: 100-continue", _CHUNKED, body=chunk(HIDDEN) + _LAST),
        "Expect and no body": request(b"Expect: 100-continue", sized),
        "Expect, unread": _unread(60_000, b"Expect: 100-continue"),
        "Expect of GET": request(b"Expect: 100-continue", sized, body=HIDDEN, line=b"GET / HTTP/1.1"),
        "Expect in other words": request(b"Expect: y 100-continue", sized, body=HIDDEN),
        "Expect folded": request(b"Expect:\r\n 100-continue", sized, body=HIDDEN),
        "Expect in capitals": request(b"EXPECT: 100-Continue", sized, body=HIDDEN),
        "Expect twice": request(b"Expect: 100-continue", b"Expect: 100-continue", sized, body=HIDDEN),
        "Expect in HTTP/1.0": request(b"Expect: 100-continue", sized, body=HIDDEN, line=b"POST / HTTP/1.0"),
        "Upgrade to h2c with a body": request(*upgrade, sized, body=HIDDEN),
        "Upgrade to h2c with chunks": request(*upgrade, _CHUNKED, body=chunk(HIDDEN) + _LAST),
        "Upgrade to h2c, then a request": request(*upgrade, line=b"GET / HTTP/1.1") + _PIPELINED,
        "Upgrade to h2c without Connection": request(*upgrade[1:], sized, body=HIDDEN),
        "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
        "Upgrade to a websocket with a body": request(*socket, sized, body=HIDDEN, line=b"GET / HTTP/1.1"),
        "Upgrade to a websocket, then a request": request(*socket, line=b"GET / HTTP/1.1") + _PIPELINED,
        "HTTP/1.0 with a body": request(sized, body=HIDDEN, line=b"POST / HTTP/1.0"),
        "HTTP/1.0, kept": request(b"Connection: keep-alive", sized, body=HIDDEN, line=b"POST / HTTP/1.0") + _PIPELINED,
        "HTTP/1.0 with chunks": request(_CHUNKED, body=chunk(HIDDEN) + _LAST, line=b"POST / HTTP/1.0"),
        "HTTP/1.0 with chunks, kept": request(b"Connection: keep-alive", _CHUNKED, body=chunk(HIDDEN) + _LAST,
                                              line=b"POST / HTTP/1.0"),
        "HTTP/1.0 with both": request(_CHUNKED, b"Content-Length: 4", body=chunk(HIDDEN) + _LAST,
                                      line=b"POST / HTTP/1.0"),
        "HTTP/0.9": b"GET /\r\n",
        "an absolute target": request(sized, body=HIDDEN, line=b"POST http://b/other HTTP/1.1"),
        "an absolute target by https": request(sized, body=HIDDEN, line=b"POST https://b/other HTTP/1.1"),
        "an absolute target without a path": request(line=b"GET http://b HTTP/1.1"),
        "an absolute target and no Host": b"GET http://b/other HTTP/1.1\r\n\r\n",
        "LF in an absolute target": request(line=b"GET http://b\n/other HTTP/1.1"),
        "an asterisk": request(line=b"OPTIONS * HTTP/1.1"),
        "an authority": request(line=b"CONNECT a:80 HTTP/1.1") + _PIPELINED,
        "two slashes": request(line=b"GET //b/other HTTP/1.1"),
        "dots": request(line=b"GET /a/../b/./c HTTP/1.1"),
        "encoded slashes and dots": request(line=b"GET /a%2f%2e%2e%2fb HTTP/1.1"),
        "an encoded line end in a target": request(line=b"GET /a%0d%0aX:%20y HTTP/1.1"),
        "an encoded request in a target": request(
            line=b"GET /a%20HTTP/1.1%0d%0aHost:%20a%0d%0a%0d%0aGET%20/smuggled HTTP/1.1"),
        "an encoded question mark": request(line=b"GET /a%3fb?c%3fd HTTP/1.1"),
        "a backslash": request(line=b"GET /a\\b HTTP/1.1"),
        "Host twice": request(b"Host: b"),
        "Host twice, as another field": request(b"Host : b"),
        "Host folded": request(b"X: y\r\n Host: b"),
        "Host with a request": request(b"X: y").replace(b"Host: a", b"Host: a\r\r\nGET /smuggled HTTP/1.1"),
        "a request behind LF": request(b"X: y\n\nGET /smuggled HTTP/1.1\nHost: a\n"),
        "a request behind CR": request(b"X: y\r\rGET /smuggled HTTP/1.1\rHost: a\r\r"),
        "a request behind LF CR": request(b"X: y\n\r\nGET /smuggled HTTP/1.1"),
        "all lines by LF": request(sized, body=HIDDEN).replace(b"\r\n", b"\n", 4),
        "Connection names Host": request(b"Connection: close, Host", sized, body=HIDDEN),
        "Connection names Expect": request(b"Connection: Expect", b"Expect: 100-continue", sized, body=HIDDEN),
        "Connection names Trailer": request(b"Connection: Trailer", b"Trailer: X", _CHUNKED,
                                            body=b"1\r\nA\r\n0\r\nX: y\r\n\r\n"),
        "Connection names X-Forwarded-For": request(b"Connection: close, X-Forwarded-For", b"X-Forwarded-For: 6.6.6.6"),
        "Connection names everything": request(
            b"Connection: Content-Length, Transfer-Encoding, Host, Cookie, Connection", sized, body=HIDDEN),
        "Keep-Alive and Proxy-Connection": request(b"Keep-Alive: timeout=1, max=1", b"Proxy-Connection: close", sized,
                                                   body=HIDDEN),
        "X-HTTP-Method-Override": request(b"X-HTTP-Method-Override: GET", sized, body=HIDDEN),
        "a field of 6 KB": request(b"X: " + b"x" * 6000, sized, body=HIDDEN),
        "60 fields": request(*(b"X-%d: y" % n for n in range(60)), sized, body=HIDDEN),
    }  # fmt: skip
    return [Payload(name, data) for name, data in payloads.items()]


def _of_refusals() -> list[Payload]:
    return [
        Payload(f"{title}: {case.name}", case.data)
        for title in _GROUPS
        for case in GROUPS[title]
        if isinstance(case, Refused | Understood)
    ]


def _named(payload: Payload) -> Payload:
    """Name the request in it after what it may be."""
    what = payload.name.removesuffix(", the length first")
    may_follow = what in _MAY_FOLLOW
    return Payload(payload.name, payload.data.replace(b"/smuggled", b"/followed")) if may_follow else payload


_ALL = (
    *_bodies(),
    *(Payload(f"Content-Length with {name}", _unfinished(length, HIDDEN)) for name, length in _LENGTHS.items()),
    *(Payload(f"0.CL of GET with {name}", _unfinished(length, HIDDEN).replace(b"POST", b"GET", 1))
      for name, length in _LENGTHS.items()),
    *_codings(),
    *_chunks(),
    *_of_refusals(),
)  # fmt: skip

PAYLOADS: tuple[Payload, ...] = tuple(map(_named, _ALL))

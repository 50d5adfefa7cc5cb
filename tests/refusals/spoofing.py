"""Fields that a client sends to pass for somebody else, and what the application is told."""

from __future__ import annotations

from tests.refusals.case import Case, Refused, Understood

_POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"


def _told(
    name: str, source: str, fields: bytes, environ: dict[str, str | None], *, trusted: bool = False
) -> Understood:
    return Understood(name, source, _POST + fields + b"\r\n\r\nab", ("POST /",), b"ab", environ, trusted)


CASES: tuple[Case, ...] = (
    _told("X_Y", "eventlet 959", b"X_Y: evil", {"HTTP_X_Y": None}),
    _told("X_Y behind X-Y", "CVE-2024-45614", b"X-Y: good\r\nX_Y: evil", {"HTTP_X_Y": "good"}),
    _told("X_Y before X-Y", "CVE-2024-45614", b"X_Y: evil\r\nX-Y: good", {"HTTP_X_Y": "good"}),
    _told("X_Forwarded_For", "CVE-2024-45614", b"X-Forwarded-For: good\r\nX_Forwarded_For: evil",
          {"HTTP_X_FORWARDED_FOR": "good"}, trusted=True),
    _told("Transfer_Encoding never frames", "RFC 9112 6.1", b"Transfer_Encoding: chunked",
          {"HTTP_TRANSFER_ENCODING": None}),
    _told("Content_Length never frames", "RFC 9112 6.2", b"Content_Length: 9",
          {"CONTENT_LENGTH": "2", "HTTP_CONTENT_LENGTH": None}),
    _told("Content_Type is not Content-Type", "RFC 3875 4.1.3", b"Content_Type: text/evil",
          {"CONTENT_TYPE": None, "HTTP_CONTENT_TYPE": None}),
    _told("Proxy", "CVE-2016-5385", b"Proxy: http://evil/", {"HTTP_PROXY": None}),
    _told("PROXY, from a proxy too", "CVE-2016-5385", b"PROXY: http://evil/", {"HTTP_PROXY": None}, trusted=True),
    _told("SCRIPT_NAME", "gunicorn 3705", b"SCRIPT_NAME: /evil", {"SCRIPT_NAME": "", "HTTP_SCRIPT_NAME": None}),
    _told("Script-Name", "gunicorn 3705", b"Script-Name: /evil", {"SCRIPT_NAME": ""}),
    _told("Script-Name, from a proxy", "gunicorn 3705", b"Script-Name: /evil", {"SCRIPT_NAME": ""}, trusted=True),
    _told("PATH_INFO", "gunicorn 3705", b"PATH_INFO: /evil", {"PATH_INFO": "/", "HTTP_PATH_INFO": None}),
    _told("REMOTE_USER", "RFC 3875 4.1.11", b"REMOTE_USER: evil", {"REMOTE_USER": None, "HTTP_REMOTE_USER": None}),
    _told("Remote-User is a field", "RFC 3875 4.1.18", b"Remote-User: evil", {"REMOTE_USER": None}),
    _told("REMOTE_USER, from a proxy", "RFC 3875 4.1.11", b"REMOTE_USER: evil",
          {"REMOTE_USER": None, "HTTP_REMOTE_USER": None}, trusted=True),
    _told("Remote-Addr", "RFC 3875 4.1.8", b"Remote-Addr: 1.2.3.4", {"REMOTE_ADDR": "127.0.0.2"}),
    _told("X-Forwarded-For", "RFC 7239 8.1", b"X-Forwarded-For: 1.2.3.4", {"REMOTE_ADDR": "127.0.0.2"}),
    _told("Forwarded", "RFC 7239 8.1", b"Forwarded: for=1.2.3.4;proto=https",
          {"REMOTE_ADDR": "127.0.0.2", "wsgi.url_scheme": "http"}),
    _told("X-Forwarded-Proto", "RFC 7239 8.1", b"X-Forwarded-Proto: https", {"wsgi.url_scheme": "http"}),
    _told("X-Forwarded-Ssl", "RFC 7239 8.1", b"X-Forwarded-Ssl: on", {"wsgi.url_scheme": "http"}),
    _told("X_Forwarded_Proto, from a proxy", "CVE-2024-45614", b"X_Forwarded_Proto: https",
          {"wsgi.url_scheme": "http"}, trusted=True),
    _told("X-Forwarded-Proto, from a proxy", "RFC 7239 8.1", b"X-Forwarded-Proto: https",
          {"wsgi.url_scheme": "https"}, trusted=True),
    Refused("schemes that contradict each other, from a proxy", "waitress 3.0.2",
            _POST + b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n\r\nab", trusted=True),
    Refused("schemes in two fields that contradict each other, from a proxy", "waitress 3.0.2",
            _POST + b"X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: on\r\n\r\nab", trusted=True),
    _told("two cookies are one list", "RFC 6265 5.4", b"Cookie: a=1\r\nCookie: b=2", {"HTTP_COOKIE": "a=1; b=2"}),
    _told("two fields are one list", "RFC 9110 5.3", b"X-Y: a\r\nX-Y: b", {"HTTP_X_Y": "a,b"}),
)  # fmt: skip

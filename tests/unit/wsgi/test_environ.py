"""The WSGI environ, from real heads and a real socket."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import check_environ

import pytest

from workerkit.errors import ProtocolError
from workerkit.http.forwarded import ForwardedOptions, Trust
from workerkit.http.limits import HttpLimits
from workerkit.http.request import HeadReader, RequestHead
from workerkit.net.address import Address, TCPAddress, UnixAddress
from workerkit.net.stream import Stream
from workerkit.wsgi.environ import EnvironBuilder

BASE = {"wsgi.version": (1, 0), "SCRIPT_NAME": "", "SERVER_SOFTWARE": "workerkit"}

Build = Callable[..., dict[str, Any]]


def read_head(target: str = "/", *fields: str, method: str = "GET", version: str = "1.1") -> RequestHead:
    lines = [f"{method} {target} HTTP/{version}", "Host: shop.example", *fields, "", ""]
    head = HeadReader(HttpLimits()).feed("\r\n".join(lines).encode("latin-1"))
    assert head is not None
    return head


@pytest.fixture
def build() -> Iterator[Build]:
    """Build the environ of a request."""
    ours, theirs = socket.socketpair()
    builders: dict[tuple[tuple[str, Any], ...], EnvironBuilder] = {}

    def build(
        target: str = "/",
        *fields: str,
        peer: Any = ("192.0.2.7", 4711),
        local: Address = TCPAddress("127.0.0.1", 8000),  # noqa: B008  frozen
        head: RequestHead | None = None,
        method: str = "GET",
        version: str = "1.1",
        **trust: Any,
    ) -> dict[str, Any]:
        key = tuple(sorted(trust.items()))
        builder = builders.setdefault(key, EnvironBuilder(BASE, Trust(ForwardedOptions(**trust))))
        head = head or read_head(target, *fields, method=method, version=version)
        return builder.build(head, Stream(ours, peer, local, lambda *_: None), io.BytesIO(b"body"))

    yield build
    ours.close()
    theirs.close()


def test_a_request_in_the_words_of_cgi(build: Build) -> None:
    """Method, target, protocol, server and peer stand where PEP 3333 wants them."""
    environ = build("/shop/a?page=2&x", method="POST", version="1.0")

    expected = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/shop/a",
        "QUERY_STRING": "page=2&x",
        "RAW_URI": "/shop/a?page=2&x",
        "REQUEST_URI": "/shop/a?page=2&x",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "4711",
        "HTTP_HOST": "shop.example",
        "wsgi.url_scheme": "http",
    }
    assert {name: environ[name] for name in expected} == expected
    assert environ["wsgi.input"].read() == b"body"


def test_fields_have_their_cgi_names(build: Build) -> None:
    """Fields of the body lose their prefix, the others get it."""
    environ = build("/", "X-Request-Id: 7", "Content-Type: text/plain", "Content-Length: 4", method="POST")

    assert environ["HTTP_X_REQUEST_ID"] == "7"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "4")
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_what_the_client_did_not_send_is_absent(build: Build) -> None:
    """A request without a body has neither length nor type."""
    assert not {"CONTENT_LENGTH", "CONTENT_TYPE"} & build().keys()


def test_repeated_fields_are_one_list(build: Build) -> None:
    """Values of the same name are joined in order, cookies by their own sign."""
    environ = build("/", "Accept: a", "X: 1", "accept: b", "Cookie: c=1", "Cookie: d=2")

    assert (environ["HTTP_ACCEPT"], environ["HTTP_COOKIE"]) == ("a,b", "c=1; d=2")


def test_paths_are_decoded_and_targets_are_not(build: Build) -> None:
    """PATH_INFO holds the decoded bytes as latin-1, the raw target stays as it came."""
    environ = build("/caf%C3%A9%2Fa+b%00?x=%20")

    assert environ["PATH_INFO"].encode("latin-1") == "/café/a+b\0".encode()
    assert environ["QUERY_STRING"] == "x=%20"
    assert environ["RAW_URI"] == "/caf%C3%A9%2Fa+b%00?x=%20"


def test_values_of_any_bytes_are_latin_1(build: Build) -> None:
    """A field of UTF-8 bytes can be had back byte by byte."""
    environ = build("/", "X-Name: " + "é".encode().decode("latin-1"))

    assert environ["HTTP_X_NAME"].encode("latin-1") == "é".encode()


def test_an_absolute_target_names_the_host(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """The authority of the target replaces the Host field, and the log tells of it."""
    caplog.set_level("INFO")
    environ = build("http://other.example:81/path?q")

    assert (environ["HTTP_HOST"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("other.example:81", "/path", "q")
    [line] = caplog.messages
    assert "names the host other.example:81 in its target and shop.example in its Host field" in line


def test_an_absolute_target_that_says_the_same(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """Where both agree, as clients of a proxy do, there is nothing to tell."""
    caplog.set_level("INFO")
    environ = build("http://SHOP.example/path")

    assert (environ["HTTP_HOST"], caplog.messages) == ("SHOP.example", [])


def test_a_unix_socket_has_no_peer_address(build: Build) -> None:
    """Over a Unix socket the server is localhost, and the peer has neither address nor port."""
    environ = build(peer="", local=UnixAddress("/run/app.sock"))

    assert (environ["SERVER_NAME"], environ["SERVER_PORT"], environ["REMOTE_ADDR"]) == ("localhost", "80", "")
    assert "REMOTE_PORT" not in environ


def test_each_listener_has_its_own_name(build: Build) -> None:
    """SERVER_NAME and SERVER_PORT are those of the listener that the request came by."""
    first = build(local=TCPAddress("127.0.0.1", 8000))
    second = build(local=TCPAddress("::1", 9000))

    assert [(environ["SERVER_NAME"], environ["SERVER_PORT"]) for environ in (first, second, build())] == [
        ("127.0.0.1", "8000"),
        ("::1", "9000"),
        ("127.0.0.1", "8000"),
    ]


def test_a_trusted_proxy_tells_the_scheme(build: Build) -> None:
    """X-Forwarded-Proto counts when a proxy of ours says it, and is a mere field otherwise."""
    assert build("/", "X-Forwarded-Proto: https", peer=("127.0.0.1", 1))["wsgi.url_scheme"] == "https"
    assert build("/", "X-Forwarded-Proto: https", peer=("192.0.2.7", 1))["wsgi.url_scheme"] == "http"


def test_trust_is_not_shared_with_the_fields(build: Build) -> None:
    """The same fields, parsed once, mean different things from a proxy and from a stranger, in any order."""
    head = read_head("/", "X-Forwarded-Proto: https")
    peers = [("127.0.0.1", 1), ("192.0.2.7", 1), ("127.0.0.1", 2), ("192.0.2.8", 1)]

    assert [build(head=head, peer=peer)["wsgi.url_scheme"] for peer in peers] == ["https", "http", "https", "http"]


def test_a_contradiction_is_refused(build: Build) -> None:
    """Two fields that disagree about the scheme are a bad request."""
    with pytest.raises(ProtocolError):
        build("/", "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off", peer=("127.0.0.1", 1))


def test_fields_that_pass_for_others_are_dropped(build: Build) -> None:
    """A field with an underscore, and Proxy, do not reach the application, or only where an operator wants it."""
    fields = ("X_Forwarded_For: 6.6.6.6", "Proxy: http://evil.example")
    environ = build("/", *fields)
    assert not {"HTTP_X_FORWARDED_FOR", "HTTP_PROXY"} & environ.keys()

    with pytest.raises(ProtocolError):
        build("/", *fields, header_map="refuse")
    assert build("/", *fields, header_map="dangerous")["HTTP_X_FORWARDED_FOR"] == "6.6.6.6"


def test_an_environ_belongs_to_its_request(build: Build) -> None:
    """What an application does to its environ is not seen by the next request, though they share their fields."""
    head = read_head("/", "X: 1")
    first = build(head=head)
    first["HTTP_X"] = "changed"
    first["SERVER_NAME"] = "changed"
    first.clear()

    second = build(head=head)
    assert (second["HTTP_X"], second["SERVER_NAME"]) == ("1", "127.0.0.1")


def test_the_validator_has_no_complaint(build: Build) -> None:
    """The standard library's checker accepts an environ, with what the gateway adds."""
    environ = build("/shop?q=1", "Cookie: a=b", method="POST")
    environ |= {"wsgi.multithread": False, "wsgi.multiprocess": True, "wsgi.run_once": False}
    environ["wsgi.errors"] = io.StringIO()

    check_environ(environ)


def test_two_places_where_it_is_mounted_contradict_each_other(build: Build) -> None:
    """One of the fields may be a client's, which a proxy has passed on; the same twice does no harm."""
    proxy = ("127.0.0.1", 4711)
    assert build("/app/x", "SCRIPT_NAME: /app", "SCRIPT_NAME: /app", peer=proxy)["SCRIPT_NAME"] == "/app"
    with pytest.raises(ProtocolError):
        build("/app/x", "SCRIPT_NAME: /app", "SCRIPT_NAME: /evil", peer=proxy)
    assert build("/app/x", "SCRIPT_NAME: /app", "SCRIPT_NAME: /evil", peer=("192.0.2.7", 1))["SCRIPT_NAME"] == ""


def test_addresses_without_number_take_no_memory_without_end(build: Build) -> None:
    """Clients of a proxy may come by any address of its own; what is kept for each is bounded, and right."""
    head = read_head("/")
    for port in range(100):
        environ = build(head=head, local=TCPAddress("192.0.2.1", port))
        assert environ["SERVER_PORT"] == str(port)

    assert len(head.fields.environs) <= 8

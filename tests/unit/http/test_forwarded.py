"""Whom to believe, and what."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from workerkit.errors import ProtocolError
from workerkit.http.forwarded import ForwardedOptions, Trust


def trust(*peers: str) -> Trust:
    return Trust(ForwardedOptions(forwarded_allow_ips=peers))


@pytest.mark.parametrize(
    ("peers", "host", "expected"),
    [
        (("127.0.0.1", "::1"), "127.0.0.1", True),
        (("127.0.0.1", "::1"), "::1", True),
        (("127.0.0.1", "::1"), "::ffff:127.0.0.1", True),
        (("127.0.0.1", "::1"), "127.0.0.2", False),
        (("127.0.0.1", "::1"), None, False),
        (("*",), "203.0.113.9", True),
        (("*",), None, True),
        (("unix",), None, True),
        (("unix",), "127.0.0.1", False),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8",), "fe80::1%eth0", False),
        (("10.0.0.0/8",), "no address", False),
        (("2001:db8::/32",), "2001:db8::5", True),
        (("2001:0db8:0:0::5",), "2001:db8::5", True),
        (("192.0.2.1",), "192.0.2.1", True),
        ((), "127.0.0.1", False),
        (ForwardedOptions().forwarded_allow_ips, None, True),
    ],
)
def test_a_peer_is_trusted_if_it_is_listed(peers: tuple[str, ...], host: str | None, expected: bool) -> None:
    """By address in any spelling, by network, as the peer of a Unix socket, or because all are."""
    assert trust(*peers).trusts(host) is expected


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], "http"),
        ([(b"Host", b"a")], "http"),
        ([(b"X-Forwarded-Proto", b"https")], "https"),
        ([(b"x-forwarded-proto", b"HTTPS")], "https"),
        ([(b"X-Forwarded-Proto", b"http")], "http"),
        ([(b"X-Forwarded-Proto", b"https, http")], "http"),
        ([(b"X-Forwarded-Ssl", b"on")], "https"),
        ([(b"X-Forwarded-Protocol", b"ssl"), (b"X-Forwarded-Proto", b"https")], "https"),
        ([(b"X_Forwarded_Proto", b"https")], "http"),
    ],
)
def test_the_scheme_is_what_the_proxy_tells(pairs: list[tuple[bytes, bytes]], expected: str) -> None:
    """Each of the configured fields can say that the client came by HTTPS."""
    assert trust().scheme(pairs) == expected


def test_the_scheme_is_the_connections_if_nothing_is_told() -> None:
    """Over TLS, silence means https, and a proxy can still say otherwise."""
    assert trust().scheme([], "https") == "https"
    assert trust().scheme([(b"X-Forwarded-Proto", b"http")], "https") == "http"


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Proto", b"http")],
        [(b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Ssl", b"on")],
    ],
)
def test_contradicting_fields_are_refused(pairs: list[tuple[bytes, bytes]]) -> None:
    """If two fields disagree about the scheme, the request gets a 400."""
    with pytest.raises(ProtocolError) as refused:
        trust().scheme(pairs)

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("header_map", "name", "trusted", "expected"),
    [
        ("drop", b"X_Y", False, None),
        ("drop", b"X_Y", True, None),
        ("drop", b"SCRIPT_NAME", False, None),
        ("drop", b"script_name", True, "HTTP_SCRIPT_NAME"),
        ("dangerous", b"X_Y", False, "HTTP_X_Y"),
        ("dangerous", b"Proxy", True, None),
        ("refuse", b"Proxy", True, None),
        ("refuse", b"PATH_INFO", True, "HTTP_PATH_INFO"),
    ],
)
def test_an_underscore_passes_from_a_proxy_or_at_ones_own_risk(
    header_map: str, name: bytes, trusted: bool, expected: str | None
) -> None:
    """The listed fields of a trusted peer pass, others by header_map; Proxy never does."""
    assert Trust(ForwardedOptions(header_map=header_map)).underscored(name, trusted) == expected


def test_an_underscore_can_be_refused() -> None:
    """With header_map "refuse", such a field costs the request a 400."""
    with pytest.raises(ProtocolError, match="underscore"):
        Trust(ForwardedOptions(header_map="refuse")).underscored(b"SCRIPT_NAME", trusted=False)


def test_a_peer_that_is_none_is_refused_when_the_options_are_read() -> None:
    """The check of the setting names the entry that cannot be understood, and passes what can."""
    [check] = [field.metadata["check"] for field in fields(ForwardedOptions) if field.name == "forwarded_allow_ips"]

    check(("*", "unix", "127.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"))
    with pytest.raises(ValueError, match=r"'proxy\.example' is not"):
        check(("127.0.0.1", "proxy.example"))


def test_the_default_peers_cost_no_import() -> None:
    """ipaddress is loaded for networks only; a start with the defaults does without."""
    program = (
        "import sys; sys.modules.pop('ipaddress', None)  # in case the start of the interpreter needed it\n"
        "from workerkit.http.forwarded import *\n"
        "trust = Trust(ForwardedOptions())\n"
        "assert trust.trusts('127.0.0.1') and not trust.trusts('203.0.113.9')\n"
        "assert 'ipaddress' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", ["", "X_Forwarded_For", "X-Forwarded-For:", "X Y", "\u00e9"])
def test_the_field_that_names_clients_must_be_one(name: str) -> None:
    """One with an underscore would never arrive."""
    [check] = [field.metadata["check"] for field in fields(ForwardedOptions) if field.name == "remote_addr_header"]

    check("X-Forwarded-For")
    with pytest.raises(ValueError, match="is not the name of a header field"):
        check(name)


def test_clients_are_named_on_demand() -> None:
    """Otherwise no field is asked for one."""
    pairs = [(b"X-Forwarded-For", b"192.0.2.7"), (b"Forwarded", b"for=192.0.2.8;proto=https")]

    assert (trust("*").names_clients, trust("*").client(pairs)) == (False, None)
    asked = Trust(ForwardedOptions(remote_addr_header="x-forwarded-for"))
    client = asked.client(pairs)
    assert asked.names_clients
    assert client is not None
    assert (client.host, asked.scheme(pairs)) == ("192.0.2.7", "http")


def test_forwarded_tells_the_scheme_where_it_names_clients() -> None:
    """And contradicts, or agrees with, the other fields that do."""
    asked = Trust(ForwardedOptions(remote_addr_header="Forwarded"))
    pairs = [(b"Forwarded", b"for=192.0.2.8;proto=https")]

    assert asked.scheme(pairs) == "https"
    assert asked.scheme([*pairs, (b"X-Forwarded-Proto", b"https")]) == "https"
    with pytest.raises(ProtocolError):
        asked.scheme([*pairs, (b"X-Forwarded-Proto", b"http")])

"""Whom proxies of ours name as their client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workerkit.errors import ProtocolError
from workerkit.http.client_address import Client, ClientField

PROXIES = ("127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48", "unix")


def told(*values: str, name: str = "X-Forwarded-For", proxies: tuple[str, ...] = PROXIES) -> Client | None:
    return ClientField(name, proxies).client([(name.lower().encode(), value.encode("latin-1")) for value in values])


def host(*values: str, name: str = "X-Forwarded-For", proxies: tuple[str, ...] = PROXIES) -> str | None:
    client = told(*values, name=name, proxies=proxies)
    return client.host if client is not None else None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), None),
        (("192.0.2.7",), "192.0.2.7"),
        (("6.6.6.6, 192.0.2.7",), "192.0.2.7"),
        (("6.6.6.6", "192.0.2.7"), "192.0.2.7"),
        (("6.6.6.6, 192.0.2.7, 10.1.2.3,127.0.0.1",), "192.0.2.7"),
        (("10.1.2.3, 192.0.2.7",), "192.0.2.7"),
        (("10.9.9.9, 10.1.2.3",), "10.9.9.9"),
        (("::ffff:192.0.2.7",), "192.0.2.7"),
        (("192.0.2.7, ::ffff:10.1.2.3",), "192.0.2.7"),
        (("2001:DB8::0:7",), "2001:db8::7"),
        (("192.0.2.7, 2001:db8:1::5",), "192.0.2.7"),
        (("[2001:db8::7]",), "2001:db8::7"),
        (("\t 192.0.2.7 \t",), "192.0.2.7"),
        # What cannot be read hides whatever stands left of it.
        (("unknown",), None),
        (("192.0.2.7, unknown",), None),
        (("6.6.6.6, junk, 10.1.2.3",), "10.1.2.3"),
        (("6.6.6.6, , 10.1.2.3",), "10.1.2.3"),
        (("192.0.2.7,",), None),
        (("",), None),
        (("192.0.2.07",), None),
        (("192.0.2",), None),
        (("127.0.0.1\x00",), None),
        (("fe80::1%eth0",), None),
        (("192.0.2.7:99999999",), None),
        (("\u00b9.0.2.7",), None),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy_of_ours(values: tuple[str, ...], expected: str | None) -> None:
    """What a client sends itself stands left of what the first proxy has added, and is never believed."""
    assert host(*values) == expected


@pytest.mark.parametrize(
    ("value", "port"),
    [("192.0.2.7:4711", "4711"), ("[2001:db8::7]:4711", "4711"), ("192.0.2.7", None), ("2001:db8::4711", None)],
)
def test_a_proxy_may_tell_the_port(value: str, port: str | None) -> None:
    """Of bare IPv6 the last group is no port."""
    client = told(value)

    assert client is not None
    assert client.port == port


def test_where_everybody_is_trusted_the_last_entry_is_the_client() -> None:
    """Otherwise the first one would be, which anybody can write."""
    assert host("6.6.6.6, 192.0.2.7", proxies=("*",)) == "192.0.2.7"
    assert host("6.6.6.6, 192.0.2.7, 10.1.2.3", proxies=("*", "10.0.0.0/8")) == "192.0.2.7"


def test_other_fields_are_not_asked() -> None:
    """A proxy that sets one field passes the others on as the client sent them."""
    field = ClientField("X-Forwarded-For", PROXIES)

    assert field.client([(b"X-Real-Ip", b"6.6.6.6"), (b"Forwarded", b"for=6.6.6.6"), (b"Host", b"a")]) is None
    assert ClientField("CF-Connecting-IP", PROXIES).client([(b"cf-connecting-ip", b"192.0.2.7")]) is not None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("for=192.0.2.7",), ("192.0.2.7", None, None)),
        (("For=192.0.2.7;Proto=HTTPS;by=203.0.113.43",), ("192.0.2.7", None, "https")),
        (('for="192.0.2.7:4711";proto=http',), ("192.0.2.7", "4711", "http")),
        (('for="[2001:db8:cafe::17]:4711"',), ("2001:db8:cafe::17", "4711", None)),
        (('FOR="\\1\\9\\2.0.2.7"',), ("192.0.2.7", None, None)),
        (("for=6.6.6.6;proto=http, for=192.0.2.7;proto=https",), ("192.0.2.7", None, "https")),
        (("for=6.6.6.6", "for=192.0.2.7;proto=https, for=10.1.2.3;proto=http"), ("192.0.2.7", None, "https")),
        (('host="a,for=6.6.6.6;b";for=192.0.2.7',), ("192.0.2.7", None, None)),
        ((" for=192.0.2.7 ; proto=ftp , ",), ("192.0.2.7", None, None)),
        (("for=192.0.2.7;proto=gopher;secret=x",), ("192.0.2.7", None, None)),
        (("for=_hidden",), None),
        (("for=6.6.6.6, for=unknown",), None),
        (("for=6.6.6.6, proto=https",), None),
        ((";;,",), None),
    ],
)
def test_forwarded_is_read_as_its_rfc_says(values: tuple[str, ...], expected: tuple[object, ...] | None) -> None:
    """Elements, parameters and quoted strings; the scheme is that of the element that names the client."""
    assert told(*values, name="Forwarded") == (None if expected is None else Client(*expected))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        'for="6.6.6.6, for=192.0.2.7',
        'for=6.6.6.6", for=192.0.2.7',
        'for="6.6.6.6" x, for=192.0.2.7',
        "for=, for=192.0.2.7",
        "for, for=192.0.2.7",
        "for =6.6.6.6, for=192.0.2.7",
        "for=[2001:db8::7]",
        "for=192.0.2.7:80",
        "for=6.6.6.6;for=192.0.2.7",
        "=a",
    ],
)
def test_a_malformed_forwarded_is_refused(value: str) -> None:
    """Where an open quote could hide what a proxy has added, nobody can be believed."""
    with pytest.raises(ProtocolError) as refused:
        told(value, name="Forwarded")

    assert refused.value.status == 400


@given(st.text(st.sampled_from('for=192.,;"\\ \t[]:_x'), max_size=60))
def test_what_stands_left_changes_nothing(forged: str) -> None:
    """Whatever a client has sent, what its first proxy has added decides."""
    assert host(f"{forged}, 192.0.2.7") == "192.0.2.7"
    try:
        assert host(f"{forged}, for=192.0.2.7", name="Forwarded") == "192.0.2.7"
    except ProtocolError:
        assert forged.strip(" \t,;")

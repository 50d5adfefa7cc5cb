"""Lists of peers."""

from __future__ import annotations

import pytest

from workerkit.peers import MACHINE_ITSELF, Peers, check_peers, host_of


@pytest.mark.parametrize(
    ("entries", "host", "expected"),
    [
        (MACHINE_ITSELF, "127.0.0.1", True),
        (MACHINE_ITSELF, "::ffff:127.0.0.1", True),
        (MACHINE_ITSELF, "127.0.0.2", False),
        (MACHINE_ITSELF, None, True),
        (("127.0.0.1", "10.0.0.0/8"), None, False),
        (("*",), "no address", True),
        (("*",), None, True),
        (("10.0.0.0/8", "2001:db8::/32"), "10.1.2.3", True),
        (("10.0.0.0/8", "2001:db8::/32"), "2001:db8::5", True),
        (("10.0.0.0/8", "2001:db8::/32"), "2001:db9::5", False),
        (("10.0.0.0/8",), "no address", False),
    ],
)
def test_a_peer_is_listed_or_not(entries: tuple[str, ...], host: str | None, expected: bool) -> None:
    """By its address, a network that it is in, as the other end of a Unix socket, or because all are."""
    assert (host in Peers(entries)) is expected


@pytest.mark.parametrize("entry", ["proxy.example", "10.0.0.0/33", "", "10.0.0.1 "])
def test_what_is_no_peer_is_refused(entry: str) -> None:
    """The message names it."""
    with pytest.raises(ValueError, match="is not an address, a network"):
        check_peers(("127.0.0.1", entry))


def test_only_tcp_peers_have_a_host() -> None:
    """What accept(2) says of others is text, or nothing."""
    assert [host_of(peer) for peer in (("::1", 5, 0, 0), "", "/run/x", b"\0abstract")] == ["::1", None, None, None]

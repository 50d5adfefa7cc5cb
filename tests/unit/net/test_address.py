"""Where a server listens: texts to addresses and back."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from workerkit.errors import ConfigError
from workerkit.net.address import (
    Address,
    InheritedAddress,
    SystemdAddress,
    TCPAddress,
    UnixAddress,
    address_of,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", TCPAddress("127.0.0.1", 8000)),
        ("localhost:0", TCPAddress("localhost", 0)),
        ("tcp://10.0.0.1:80", TCPAddress("10.0.0.1", 80)),
        (":9000", TCPAddress("0.0.0.0", 9000)),
        ("9000", TCPAddress("0.0.0.0", 9000)),
        ("example.org", TCPAddress("example.org", 8000)),
        ("[::1]:8000", TCPAddress("::1", 8000)),
        ("[::]", TCPAddress("::", 8000)),
        ("unix:/run/app.sock", UnixAddress("/run/app.sock")),
        ("unix:app.sock", UnixAddress("app.sock")),
        ("unix:///run/app.sock", UnixAddress("/run/app.sock")),
        ("unix:@app", UnixAddress("@app")),
        ("fd://3", InheritedAddress(3)),
        ("systemd:", SystemdAddress("")),
        ("systemd:web", SystemdAddress("web")),
    ],
)
def test_an_address_is_understood(text: str, address: Address) -> None:
    """Every way to write an address that the documentation names is understood."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("localhost:http", "'http'"),
        ("localhost:65536", "from 0 to 65535"),
        ("localhost:-1", "'-1'"),
        ("localhost:²", "port must be a number"),
        ("::1:8000", "[::1:8000]:8000"),
        ("[::1:8000", "[::1]:8000"),
        ("[::1]8000", "[::1]:8000"),
        ("unix:", "a path must follow"),
        ("unix:@", "a path must follow"),
        ("fd://", "descriptor"),
        ("fd://x", "'x'"),
    ],
)
def test_what_is_no_address_is_refused(text: str, named: str) -> None:
    """The message repeats the text and says which part is wrong."""
    with pytest.raises(ConfigError) as refused:
        parse_address(text)

    assert repr(text) in str(refused.value)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1:8000", "[::1]:80", "unix:/run/app.sock", "unix:@app", "fd://3", "systemd:", "systemd:web"],
)
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    """The text of an address names the same address again."""
    assert str(parse_address(text)) == text


def test_port_0_is_resolved() -> None:
    """The address of a bound socket has the port that the system chose."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        assert address_of(bound) == TCPAddress("127.0.0.1", bound.getsockname()[1])
        assert bound.getsockname()[1] > 0


def test_the_address_of_a_unix_socket_is_its_path(tmp_path: Path) -> None:
    """A socket in a folder is known by its path, one in the kernel by its name after an @."""
    for name in (str(tmp_path / "app.sock"), f"@workerkit-test-{os.getpid()}"):
        wanted = UnixAddress(name)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(wanted.name)

            assert address_of(bound) == wanted
            assert wanted.is_abstract == name.startswith("@")

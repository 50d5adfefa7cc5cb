"""What a peer has not taken yet, over a real socketpair whose other end does not read until it is told to."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from workerkit.errors import Disconnected
from workerkit.net.address import UnixAddress
from workerkit.net.outbox import Outbox
from workerkit.net.poller import READ, WRITE
from workerkit.net.stream import Stream

MEMORY = 10_000


class SlowReader:
    """An outbox, and the peer that it sends to."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        self.socket.setblocking(False)
        self.stream = Stream(ours, "", UnixAddress("@here"), lambda *_: None)
        self.outbox = Outbox(self.stream, MEMORY)

    def fill(self) -> bytes:
        """Make the kernel's buffers full; return what that took."""
        sent = 0
        while (more := self.stream.send((b"." * 4096,))) is not None:
            sent += more
        return b"." * sent

    def take(self, size: int = 1 << 30) -> bytes:
        """Take what has arrived, up to ``size`` bytes."""
        pieces = []
        try:
            while size and (piece := self.socket.recv(min(size, 1 << 16))):
                pieces.append(piece)
                size -= len(piece)
        except BlockingIOError:
            pass
        return b"".join(pieces)

    def take_all(self) -> bytes:
        """Flush and take in turn until nothing is left."""
        pieces = [self.take()]
        while not self.outbox.flush():
            pieces.append(self.take())
        return b"".join([*pieces, self.take()])


@pytest.fixture
def reader() -> Iterator[SlowReader]:
    reader = SlowReader()
    yield reader
    reader.outbox.close()
    reader.stream.close()
    reader.socket.close()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The temporary files that are made during the test."""
    made: list[object] = []
    real = tempfile.TemporaryFile

    def make(**arguments: object) -> object:
        made.append(real(**arguments))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    return made


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_fast_peer_needs_no_queue(reader: SlowReader) -> None:
    """What the kernel takes at once is not queued."""
    reader.outbox.write([b"head", b"body"])

    assert reader.outbox.size == 0
    assert reader.take() == b"headbody"


def test_what_is_not_taken_waits_in_memory(reader: SlowReader, files: list[object]) -> None:
    """Up to the limit no file is made, and everything arrives in order."""
    before = reader.fill()
    reader.outbox.write([b"a" * 4000, b"b" * 1000])
    reader.outbox.write([b"c" * 5000])

    assert (reader.outbox.size, files) == (10_000, [])
    assert reader.take_all() == before + b"a" * 4000 + b"b" * 1000 + b"c" * 5000
    assert reader.outbox.size == 0


def test_past_the_limit_it_waits_in_a_file(reader: SlowReader, files: list[object]) -> None:
    """One unnamed file takes what memory may not, small pieces in between too, in order."""
    before = reader.fill()
    expected = [before]
    for number in range(200):
        expected.append(b"%05d" % number * (1 + number % 7 * 200))
        reader.outbox.write([expected[-1]])

    assert len(files) == 1
    assert reader.outbox.size == len(b"".join(expected)) - len(before)
    assert reader.take_all() == b"".join(expected)


def test_an_emptied_queue_gives_its_file_back(reader: SlowReader, files: list[object]) -> None:
    """When all was sent the disk space is free again, and the next burst begins in memory."""
    reader.fill()
    reader.outbox.write([b"x" * 50_000])
    reader.take_all()

    assert [file.closed for file in files] == [True]

    before = reader.fill()
    reader.outbox.write([b"y" * 5000])
    assert len(files) == 1
    assert reader.take_all() == before + b"y" * 5000


def test_buffers_may_be_used_again(reader: SlowReader) -> None:
    """The queue keeps a copy, so that an application may change its own buffer afterwards."""
    before = reader.fill()
    buffer = bytearray(b"first")
    reader.outbox.write([memoryview(buffer)])
    buffer[:] = b"later"

    assert reader.take_all() == before + b"first"


def test_a_partly_taken_buffer_goes_on_where_it_stopped(reader: SlowReader) -> None:
    """However little the peer takes at a time, no byte is lost or repeated."""
    data = os.urandom(3_000_000)
    reader.outbox.write([data])
    assert 0 < reader.outbox.size < len(data)
    received = b""
    while not reader.outbox.flush():
        received += reader.take(50_000)

    assert received + reader.take() == data


def test_a_file_is_sent_without_being_read(reader: SlowReader, tmp_path: Path) -> None:
    """A part of a file leaves after what was queued before it, even when its owner closes it at once."""
    path = tmp_path / "file"
    content = os.urandom(1_000_000)
    path.write_bytes(content)
    before = reader.fill()
    reader.outbox.write([b"head"])
    with path.open("rb") as file:
        reader.outbox.write_file(file.fileno(), 100, 900_000)
    reader.outbox.write([b"tail"])

    assert reader.outbox.size == 4 + 899_900 + 4
    assert reader.take_all() == before + b"head" + content[100:900_000] + b"tail"
    assert reader.outbox.size == 0


def test_a_small_file_leaves_at_once(reader: SlowReader, tmp_path: Path) -> None:
    """A file that the peer takes whole is not queued."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        reader.outbox.write_file(file.fileno(), 0, 7)

    assert reader.outbox.size == 0
    assert reader.take() == b"content"


def test_a_file_that_became_shorter_is_an_error(reader: SlowReader, tmp_path: Path) -> None:
    """A response whose file was truncated cannot be completed, so its connection ends."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as file, pytest.raises(Disconnected, match="shorter"):
        reader.outbox.write_file(file.fileno(), 0, 8)


def test_a_peer_that_leaves_is_noticed(reader: SlowReader, tmp_path: Path) -> None:
    """Queueing for a peer that is gone raises Disconnected, for bytes and for files."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    reader.socket.close()

    with pytest.raises(Disconnected):
        reader.outbox.write([b"x"])
    with path.open("rb") as file, pytest.raises(Disconnected):
        reader.outbox.write_file(file.fileno(), 0, 7)


@pytest.mark.parametrize("queued", ["memory", "file"])
def test_a_flush_says_which_way_to_wait(reader: SlowReader, tmp_path: Path, queued: str) -> None:
    """When a flush has sent what the peer takes, the stream wants to write, whatever it wanted before."""
    path = tmp_path / "file"
    path.write_bytes(bytes(3_000_000))
    if queued == "file":
        with path.open("rb") as file:
            reader.outbox.write_file(file.fileno(), 0, 3_000_000)
    else:
        reader.outbox.write([bytes(3_000_000)])
    reader.take(100_000)
    reader.stream.want = READ

    assert not reader.outbox.flush()
    assert reader.stream.want == WRITE


def test_closing_lets_go_of_every_file(reader: SlowReader, tmp_path: Path) -> None:
    """A queue that is given up keeps neither its own file nor the ones that it was given open."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    reader.fill()
    before = open_descriptors()
    reader.outbox.write([b"x" * 50_000])
    with path.open("rb") as file:
        reader.outbox.write_file(file.fileno(), 0, 7)
        reader.outbox.write_file(file.fileno(), 0, 7)
    reader.outbox.write([b"y" * 50_000])
    assert open_descriptors() == before + 3

    reader.outbox.close()
    assert open_descriptors() == before
    assert reader.outbox.size == 0

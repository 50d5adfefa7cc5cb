"""A TLS connection's bytes: the contract of streams, over a session."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tls_peer import Client, pem_of

from workerkit.errors import DeadlineExceeded, Disconnected
from workerkit.net.outbox import Outbox
from workerkit.net.poller import READ, WRITE, wait_for
from workerkit.net.tls_stream import TlsStream
from workerkit.net.upgrade import Upgrade

BIG = os.urandom(3_000_000)


class Pair:
    """A stream, and the client at its other end."""

    def __init__(self, leaf: trustme.LeafCert, trusting: ssl.SSLContext, folder: Path) -> None:
        pem = folder / "pair.pem"
        pem.write_text(pem_of(leaf))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.client = Client(trusting)
        self.stream = TlsStream(self.client.accepted)
        self.stream.begin(context, b"")
        self.client.shake_hands(self.stream.shake_hands)
        self.client.receive()

    def receives(self, missing: int) -> bytes:
        """Let the client take what there is, up to so many bytes."""
        data = b""
        while len(data) < missing and (piece := self.client.receive()):
            data += piece
        return data


@pytest.fixture
def pair(leaf: trustme.LeafCert, trusting: ssl.SSLContext, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(leaf, trusting, tmp_path)
    yield made
    made.stream.close()
    made.client.close()


def send_all(pair: Pair, data: bytes) -> bytes:
    """Send as a protocol would, with the same bytes again after None, and return what the client got of it."""
    rest = memoryview(data)
    received = b""
    blocked = 0
    while rest:
        sent = pair.stream.send((rest[:100_000], rest[100_000:]))
        if sent is None:
            assert pair.stream.want == WRITE
            blocked += 1
            received += pair.client.receive()
        else:
            rest = rest[sent:]
    assert blocked
    return received + pair.receives(len(data) - len(received))


def test_bytes_nothing_and_the_end(pair: Pair) -> None:
    """Three answers that differ, as of any stream."""
    pair.client.send(b"hello")
    assert pair.stream.recv(3) == b"hel"
    assert pair.stream.pending
    assert pair.stream.recv(100) == b"lo"
    assert not pair.stream.pending
    assert pair.stream.recv(100) is None
    assert pair.stream.want == READ
    pair.client.socket.shutdown(socket.SHUT_WR)
    assert pair.stream.recv(100) == b""

    assert pair.stream.recv(100) == b""


def test_many_records_come_at_once(pair: Pair) -> None:
    """A large read gathers records, and nothing is lost between two reads."""
    sender = threading.Thread(target=_send_blocking, args=(pair, BIG))
    sender.start()
    received = bytearray()
    largest = 0
    while len(received) < len(BIG):
        data = pair.stream.recv(65536)
        if data is None:
            wait_for(pair.stream.fileno(), READ, 10.0)
            continue
        largest = max(largest, len(data))
        received += data
    sender.join()

    assert received == BIG
    assert 16384 < largest <= 65536


def _send_blocking(pair: Pair, data: bytes) -> None:
    pair.client.socket.setblocking(True)
    for start in range(0, len(data), 50_000):
        pair.client.tls.write(data[start : start + 50_000])
        pair.client.socket.sendall(pair.client.outgoing.read())


def test_a_slow_reader_gets_everything_in_order(pair: Pair) -> None:
    """What is encrypted already is kept, and counted as sent once it has left."""
    assert send_all(pair, BIG) == BIG


def test_what_was_encrypted_is_counted_however_it_comes_again(pair: Pair) -> None:
    """The same bytes may be handed over again in other pieces, as a queue does."""
    data = b"x" * 65536
    sent = 0
    while pair.stream.send((data,)) is not None:
        sent += len(data)
    received = pair.receives(sent + len(data))
    counted = 0
    while counted < len(data):
        counted += pair.stream.send((data[:1000],)) or 0

    assert counted >= len(data)
    assert len(received + pair.receives(sent + len(data) - len(received))) == sent + len(data)


def test_the_kernel_is_handed_one_record_for_a_head_and_a_body(pair: Pair) -> None:
    """Small buffers leave as one record."""
    assert pair.stream.send((b"head", b"body")) == 8
    record = pair.client.socket.recv(65536)

    assert int.from_bytes(record[3:5], "big") + 5 == len(record)


def test_files_and_queues_leave_encrypted(pair: Pair, tmp_path: Path) -> None:
    """An outbox sends memory, spool and files over TLS as it does without."""
    path = tmp_path / "big"
    path.write_bytes(BIG)
    outbox = Outbox(pair.stream, 65536)
    outbox.write((b"before", BIG[:1_000_000]))
    with path.open("rb") as file:
        outbox.write_file(file.fileno(), 0, len(BIG))
    outbox.write((b"after",))
    expected = b"before" + BIG[:1_000_000] + BIG + b"after"
    received = b""
    while not outbox.flush():
        received += pair.client.receive()
    outbox.close()

    assert received + pair.receives(len(expected) - len(received)) == expected


def test_a_file_that_became_shorter(pair: Pair, tmp_path: Path) -> None:
    """It ends the connection, as it does without TLS."""
    path = tmp_path / "short"
    path.write_bytes(b"four")
    with path.open("rb") as file, pytest.raises(Disconnected, match="a file became shorter"):
        Outbox(pair.stream, 65536).write_file(file.fileno(), 0, 5)


def test_closing_says_good_bye(pair: Pair) -> None:
    """So the client knows that nothing was cut off."""
    pair.stream.close()

    assert pair.client.has_been_told_good_bye()


def test_a_reset_says_nothing(pair: Pair) -> None:
    """A connection that is broken off on purpose must not look complete."""
    pair.stream.reset_on_close()
    pair.stream.close()

    assert not pair.client.has_been_told_good_bye()


def test_reading_goes_on_after_our_good_bye(pair: Pair) -> None:
    """``shut_write`` closes one direction, and what the peer still sends is read."""
    pair.stream.shut_write()
    pair.client.send(b"more")

    assert pair.stream.recv(100) == b"more"
    assert pair.client.has_been_told_good_bye()
    with pytest.raises(Disconnected):
        pair.stream.send((b"x",))


def test_bytes_that_were_tampered_with(pair: Pair) -> None:
    """They end the connection, and the peer gets an alert."""
    pair.client.tls.write(b"hello")
    record = bytearray(pair.client.outgoing.read())
    record[-1] ^= 1
    pair.client.socket.send(record)
    with pytest.raises(Disconnected):
        pair.stream.recv(100)

    with pytest.raises(ssl.SSLError, match=r"(?i)alert bad record mac"):
        pair.client.receive()


def test_keys_are_renewed_on_the_way(pair: Pair) -> None:
    """The client's session tickets and whatever else is not data disturb nobody."""
    for number in range(100):
        pair.client.send(b"%d" % number)
        assert pair.stream.recv(100) == b"%d" % number
        pair.stream.send((b"%d" % number,))

        assert pair.client.receive() == b"%d" % number


def test_jobs_read_and_write(pair: Pair) -> None:
    """The blocking half is the same as without TLS, deadlines included."""
    pair.client.send(b"one\ntwo\nexactly")
    lines = pair.stream.lines()
    assert [next(lines), next(lines)] == [b"one\n", b"two\n"]
    assert pair.stream.read_exactly(7) == b"exactly"
    pair.stream.write(b"bye")
    assert pair.client.receive() == b"bye"

    with pytest.raises(DeadlineExceeded):
        pair.stream.read(1)


def test_waiting_for_what_is_here_ends_at_once(pair: Pair) -> None:
    """A job that waits to read is not made to wait for more than what it could read."""
    pair.client.send(b"hello")
    assert pair.stream.recv(1) == b"h"
    pair.stream.wait(READ)

    assert pair.stream.recv(10) == b"ello"


def test_the_input_ends_for_whoever_waits(pair: Pair) -> None:
    """``shut_read`` lets what has arrived be read, and then the end."""
    pair.client.send(b"last words")
    pair.stream.shut_read()

    assert pair.stream.read(100) == b"last words"
    assert pair.stream.read(100) == b""


# -- a connection that is taken over --


@pytest.fixture
def upgrade(pair: Pair) -> Upgrade:
    return Upgrade(pair.stream, None, lambda: b"early")


def test_a_taken_socket_speaks_tls(pair: Pair, upgrade: Upgrade) -> None:
    """It receives what had come before, then what is decrypted, and encrypts what it sends."""
    taken = upgrade.take()
    pair.client.send(b"hello")
    target = bytearray(3)
    assert taken.recv(100) == b"early"
    assert (taken.recv_into(target), target) == (3, b"hel")
    assert taken.recv(100) == b"lo"
    taken.sendall(b"one")
    assert taken.send(b" two") == 4
    assert taken.send(b"") == 0
    taken.sendmsg([b" th", b"ree"])
    with taken.makefile("rwb") as file:
        pair.client.send(b"a line\n")
        assert file.readline() == b"a line\n"
        file.write(b" four")
    taken.close()

    assert pair.client.receive() == b"one two three four"


def test_a_taken_socket_sends_everything(pair: Pair, upgrade: Upgrade) -> None:
    """``send`` does not return before it has, which libraries rely on that do not look at what it returns."""
    taken = upgrade.take()
    heard = bytearray()

    def hear() -> None:
        while len(heard) < len(BIG):
            wait_for(pair.client.socket.fileno(), READ, 10.0)
            heard.extend(pair.client.receive())

    hearing = threading.Thread(target=hear)
    hearing.start()
    assert taken.send(BIG) == len(BIG)
    hearing.join()
    taken.close()

    assert heard == BIG


def test_a_taken_socket_keeps_timeouts(upgrade: Upgrade) -> None:
    """Blocking is its class's business, and so is how long."""
    taken = upgrade.take()
    assert taken.recv(100) == b"early"
    taken.settimeout(0.01)

    with pytest.raises(TimeoutError):
        taken.recv(100)
    taken.close()


def test_a_taken_socket_is_used_by_two_threads(pair: Pair, upgrade: Upgrade) -> None:
    """One reads while another writes, as WebSocket libraries do."""
    taken = upgrade.take()
    assert taken.recv(100) == b"early"
    received = bytearray()

    def read() -> None:
        while len(received) < 1_000_000:
            received.extend(taken.recv(65536))

    def write() -> None:
        for _ in range(100):
            taken.sendall(b"y" * 10_000)

    threads = [threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    sent, heard = 0, 0
    while sent < 1_000_000 or heard < 1_000_000:
        if sent < 1_000_000:
            _send_blocking(pair, b"x" * 10_000)
            pair.client.socket.setblocking(False)
            sent += 10_000
        heard += len(pair.client.receive())
    for thread in threads:
        thread.join()
    taken.close()

    assert (len(received), heard) == (1_000_000, 1_000_000)


def test_flags_are_refused(upgrade: Upgrade) -> None:
    """Peeking would show what is encrypted."""
    taken = upgrade.take()
    assert taken.recv(100) == b"early"
    with pytest.raises(ValueError, match="flags are the kernel's"):
        taken.recv(100, socket.MSG_PEEK)
    with pytest.raises(ValueError, match="flags are the kernel's"):
        taken.send(b"x", socket.MSG_OOB)
    taken.close()


def test_the_end_of_the_worker_ends_a_taken_socket(pair: Pair, upgrade: Upgrade) -> None:
    """Whoever waits on it reads the end when the stream's input is shut."""
    taken = upgrade.take()
    assert taken.recv(100) == b"early"
    pair.stream.shut_read()

    assert taken.recv(100) == b""
    taken.close()

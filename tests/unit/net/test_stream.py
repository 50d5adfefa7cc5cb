"""A connection's bytes, over a real socketpair."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from sockets import arrived

from workerkit.errors import DeadlineExceeded, Disconnected, ProtocolError
from workerkit.net.address import UnixAddress
from workerkit.net.poller import READ, WRITE
from workerkit.net.stream import Stream, raise_deadline

HERE = UnixAddress("@here")


class Peer:
    """The other end, and a ``wait`` that does what a test has planned for each time the stream has to wait."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        self.waits: list[tuple[int, float | None]] = []
        self.plan: list[Callable[[], object]] = []
        self.stream = Stream(ours, "", HERE, self._wait)

    def _wait(self, stream: Stream, want: int, deadline: float | None) -> None:
        assert stream is self.stream
        self.waits.append((want, deadline))
        if not self.plan:
            raise_deadline(want)
        self.plan.pop(0)()

    def sends(self, *pieces: bytes) -> None:
        """Send a piece whenever the stream waits for one."""
        self.plan += [lambda piece=piece: self.socket.send(piece) for piece in pieces]

    def read_away(self) -> bytes:
        """Take what has arrived."""
        return arrived(self.socket)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.stream.close()
    peer.socket.close()


def test_recv_never_blocks(peer: Peer) -> None:
    """Bytes, then nothing yet, then the end: three answers that differ."""
    peer.socket.send(b"hello")
    assert peer.stream.recv(3) == b"hel"
    assert peer.stream.recv(100) == b"lo"

    assert peer.stream.recv(100) is None
    assert peer.stream.want == READ

    peer.socket.close()
    assert peer.stream.recv(100) == b""


def test_send_never_blocks(peer: Peer) -> None:
    """What the kernel takes is told, and that it takes nothing more."""
    assert peer.stream.send((b"ab", memoryview(b"cd"), b"")) == 4
    sent = 4
    while (more := peer.stream.send((bytes(1 << 16),))) is not None:
        sent += more

    assert peer.stream.want == WRITE
    assert len(peer.read_away()) == sent


def test_a_peer_that_is_gone_is_one_error(peer: Peer) -> None:
    """Sending to nobody is Disconnected, which is a ConnectionError for the application too."""
    peer.socket.close()

    with pytest.raises(Disconnected) as gone:
        peer.stream.send((b"x",))
    assert isinstance(gone.value, ConnectionError)


def test_a_reset_is_the_same_error() -> None:
    """A connection that the peer has reset raises Disconnected when it is read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, name = server.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    stream = Stream(accepted, name, HERE, lambda _stream, want, _deadline: raise_deadline(want))

    with pytest.raises(Disconnected):
        stream.recv(10)
    stream.close()


def test_shutting_the_write_side_goes_on_receiving(peer: Peer) -> None:
    """The peer sees the end and can still say something; for a peer that is gone it does nothing."""
    peer.stream.shut_write()
    assert peer.socket.recv(10) == b""
    peer.socket.send(b"late")
    assert peer.stream.recv(10) == b"late"

    peer.socket.close()
    peer.stream.shut_write()


def test_closing_twice_is_harmless(peer: Peer) -> None:
    """A closed stream has no descriptor and can be closed again."""
    peer.stream.close()
    peer.stream.close()

    assert peer.stream.fileno() == -1


def test_read_waits_for_the_first_byte(peer: Peer) -> None:
    """A job's read waits the way that its worker waits, and returns what has arrived."""
    peer.sends(b"hello")

    assert peer.stream.read(100) == b"hello"
    assert peer.waits == [(READ, None)]


def test_read_tells_the_end(peer: Peer) -> None:
    """At the end of input a read returns no bytes, again and again."""
    peer.socket.close()

    assert peer.stream.read() == peer.stream.read() == b""


def test_the_streams_deadline_holds_for_every_wait(peer: Peer) -> None:
    """A wait is told the stream's deadline unless it has its own, and DeadlineExceeded is a TimeoutError."""
    peer.stream.deadline = 5.0

    with pytest.raises(DeadlineExceeded, match="sent nothing in time") as over:
        peer.stream.read()
    with pytest.raises(DeadlineExceeded):
        peer.stream.wait(WRITE, 7.0)
    assert peer.waits == [(READ, 5.0), (WRITE, 7.0)]
    assert isinstance(over.value, TimeoutError)


def test_read_exactly_gathers(peer: Peer) -> None:
    """Exactly as many bytes are returned as were asked for, over several waits, and what follows stays."""
    peer.sends(b"abc", b"de", b"fgh")

    assert peer.stream.read_exactly(6) == b"abcdef"
    assert peer.stream.read(10) == b"gh"


def test_read_exactly_needs_all(peer: Peer) -> None:
    """Input that ends early is Disconnected, and says how much was missing."""
    peer.socket.send(b"abc")
    peer.socket.shutdown(socket.SHUT_WR)

    with pytest.raises(Disconnected, match="7 bytes before 10"):
        peer.stream.read_exactly(10)


def test_lines_come_whole(peer: Peer) -> None:
    """Lines are put together from pieces, keep their ends, and the last may lack it."""
    peer.sends(b"first\nse", b"co", b"nd\n\nthird\nrest")
    peer.plan.append(lambda: peer.socket.shutdown(socket.SHUT_WR))

    assert list(peer.stream.lines()) == [b"first\n", b"second\n", b"\n", b"third\n", b"rest"]


def test_a_line_may_be_as_long_as_the_limit(peer: Peer) -> None:
    """The limit counts the line end, and one byte more is refused even before the line is complete."""
    peer.socket.send(b"1234567\n12345678\n")
    lines = peer.stream.lines(limit=8)

    assert next(lines) == b"1234567\n"
    with pytest.raises(ProtocolError, match="longer than 8 bytes"):
        next(lines)


def test_an_endless_line_is_refused_while_it_comes(peer: Peer) -> None:
    """A peer that sends no line end makes nobody gather more than the limit."""
    peer.sends(*[b"x" * 100] * 10)

    with pytest.raises(ProtocolError):
        next(peer.stream.lines(limit=300))
    assert len(peer.plan) == 7


def test_lines_give_back_what_they_did_not_need(peer: Peer) -> None:
    """A job may read a line, then so many bytes, then lines again: nothing that arrived is lost in between."""
    peer.socket.send(b"LENGTH 5\nhelloLENGTH 3\nabcEND\n")
    for line in peer.stream.lines():
        assert line == b"LENGTH 5\n"
        break
    assert peer.stream.read_exactly(5) == b"hello"

    lines = peer.stream.lines()
    assert next(lines) == b"LENGTH 3\n"
    assert peer.stream.read_exactly(3) == b"abc"
    assert next(lines) == b"END\n"


def test_write_sends_everything(peer: Peer) -> None:
    """A job's write waits for the peer as often as it takes, and returns when all is handed over."""
    data = bytes(range(256)) * 8192
    taken: list[bytes] = []
    peer.plan += [lambda: taken.append(peer.read_away())] * 1000

    peer.stream.write(data)

    assert b"".join([*taken, peer.read_away()]) == data
    assert {want for want, _ in peer.waits} == {WRITE}


def test_a_job_that_closes_leaves_the_descriptor_open(peer: Peer) -> None:
    """While a stream is lent to a job, ``close`` ends both directions and no more: its number stays its own."""
    descriptor = peer.stream.fileno()
    peer.stream.lent = True
    peer.stream.close()

    assert peer.stream.fileno() == descriptor
    assert peer.stream.recv(10) == b""
    assert peer.socket.recv(10) == b""
    peer.stream.lent = False
    peer.stream.close()
    assert peer.stream.fileno() == -1

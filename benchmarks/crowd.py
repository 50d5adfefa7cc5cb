"""Clients that are only there: idle keep-alive connections, and heads that come in a byte a second.

Run as `python -m benchmarks.crowd PORT IDLE DRIPPING`: prints `ready` once all are connected, and stays until
its standard input ends. A connection that the server has closed is opened again.
"""

from __future__ import annotations

import asyncio
import sys

_HOST = "127.0.0.1"
_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_HEAD_WITHOUT_END = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: "
_DRIP_SECONDS = 1.0
_RECONNECT_SECONDS = 0.2
_COME_AT_ONCE = 100  # fewer than any server's backlog: what overflows it would try again after a second


class Crowd:
    """Keeps so many connections open."""

    def __init__(self, port: int, idle: int, dripping: int) -> None:
        self._port = port
        self._missing = idle + dripping
        self._all_there = asyncio.Event()
        self._door = asyncio.Semaphore(_COME_AT_ONCE)
        self._clients = [self._idle() for _ in range(idle)]
        self._clients += [self._dripping(_DRIP_SECONDS * n / dripping) for n in range(dripping)]

    async def stay(self) -> None:
        """Come, say so, and leave when standard input ends."""
        tasks = [asyncio.create_task(client) for client in self._clients]
        await self._all_there.wait()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _idle(self) -> None:
        """Ask once, read the answer, and then say nothing more."""
        while True:
            try:
                async with self._door:
                    reader, writer = await asyncio.open_connection(_HOST, self._port)
                    writer.write(_REQUEST)
                    await reader.readuntil(b"\r\n\r\n")
                self._arrived()
                await reader.read()
                writer.close()
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _dripping(self, delay: float) -> None:
        """Send a head that never ends, byte by byte."""
        await asyncio.sleep(delay)
        while True:
            try:
                _, writer = await asyncio.open_connection(_HOST, self._port)
                self._arrived()
                await self._drip(writer)
            except OSError:
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        for byte in [*_HEAD_WITHOUT_END, *b"a" * 1000]:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(_DRIP_SECONDS)

    def _arrived(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._all_there.set()


def main() -> None:
    asyncio.run(Crowd(*map(int, sys.argv[1:])).stay())


if __name__ == "__main__":
    main()

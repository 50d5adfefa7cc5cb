"""A server's log, as tests read it: line by line, as the lines come."""

from __future__ import annotations

import re
import threading
from typing import IO

from workerkit.testing.deadline import DEADLINE


class Log:
    """The lines of a stream, read by a thread that wakes whoever waits for one."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="log reader", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._stream:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def lines(self) -> list[str]:
        """The lines so far."""
        with self._changed:
            return list(self._lines)

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    def mark(self) -> int:
        """Return the place after the last line so far, for the ``since`` of a later wait."""
        with self._changed:
            return len(self._lines)

    def find(self, pattern: str | re.Pattern[str], *, since: int = 0) -> list[re.Match[str]]:
        """Return the matches so far, one for each line that has one."""
        return [match for line in self.lines[since:] if (match := re.search(pattern, line))]

    def comes(
        self, pattern: str | re.Pattern[str], *, count: int = 1, since: int = 0, within: float = DEADLINE
    ) -> bool:
        """Wait until ``count`` lines match, the stream ends or the time is over; tell whether they came."""

        def found() -> bool:
            lines = self._lines[since:]
            return sum(re.search(pattern, line) is not None for line in lines) >= count

        with self._changed:
            self._changed.wait_for(lambda: self._ended or found(), within)
            return found()

    def wait_for(
        self, pattern: str | re.Pattern[str], *, count: int = 1, since: int = 0, timeout: float = DEADLINE
    ) -> list[re.Match[str]]:
        """Wait until ``count`` lines match and return the matches of all that do.

        Raises:
            AssertionError: They did not come; the message holds the whole log.
        """
        came = self.comes(pattern, count=count, since=since, within=timeout)
        matches = self.find(pattern, since=since)
        if not came:
            raise AssertionError(f"{len(matches)} of {count} lines match {pattern!r} in this log:\n{self.text}")
        return matches

    def close(self) -> None:
        """Wait for the end of the stream: every process that could write to it is gone."""
        self._reader.join(DEADLINE)
        if self._reader.is_alive():
            raise AssertionError("a process keeps the log open")
        self._stream.close()

"""A head of which not everything has arrived: refused as soon as it cannot become a good one.

A reader that waits for the end of a head before it looks can be made to wait, and to store, for as long as the
client likes. So each byte is judged when it arrives: by the limits, by llhttp (which is told the field lines only,
see ``fields``) and, in the request line, by the rule that it holds no control characters. Each byte is looked at a
fixed number of times, which keeps a head sent byte by byte linear.

What is accepted is not decided here. A head that gets through is parsed again as a whole, by the one function that
also parses a head that arrives in one piece. And whatever is refused here is refused at the same byte however the
bytes were split; what lies beyond a limit is never looked at, and a line is judged before the next.
"""

from __future__ import annotations

import re
import sys

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from workerkit.errors import ProtocolError
from workerkit.http.fields import ANY_REQUEST_LINE, malformed
from workerkit.http.limits import HttpLimits, field_too_long, head_too_large, line_too_long, too_many_fields
from workerkit.http.request_line import parse_request_line

_CR = 13

# A control character, a byte above ASCII, or half a line end.
_no_part_of_a_request_line = re.compile(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\xff]|\r(?=[^\n])|(?<!\r)\n").search


class PartialHead:
    """The bytes of a head that has begun, and how far they have been judged."""

    __slots__ = ("_budget", "_fields", "_judged", "_limits", "_line", "_parser", "received", "start")

    def __init__(self, limits: HttpLimits) -> None:
        self.received = bytearray()
        self.start = 0  # of the head: after the empty line that may come before it
        self._limits = limits
        self._judged = 0  # up to here every byte has been judged
        self._fields = 0
        self._parser: HttpRequestParser | None = None  # from the first field line on
        self._begin_line(0)

    @property
    def started(self) -> bool:
        """Whether there is more than the beginning of an empty line."""
        return len(self.received) > self.start and self.received != b"\r"

    def feed(self, data: bytes) -> int | None:
        """Add what was received; return where the head ends, or None while it has not.

        Raises:
            ProtocolError: with the fault that comes first.
        """
        received = self.received
        received += data
        if self._judged == 0 and not self._pass_empty_line():
            return None
        while self._judged < len(received):
            line_end = received.find(b"\n", self._judged) + 1
            self._judge_up_to(line_end or len(received))
            if line_end and self._end_line(line_end):
                return line_end
        return None

    def _pass_empty_line(self) -> bool:
        """Pass the one empty line that may come before the head; False if it takes another byte to tell."""
        if self.received == b"\r":
            return False
        if self.received.startswith(b"\r\n"):
            self.start = self._judged = 2
            self._begin_line(2)
        return True

    def _begin_line(self, line: int) -> None:
        """Note where a line begins, and how far it and its line end may reach."""
        limits = self._limits
        longest = limits.limit_request_line if line == self.start else limits.limit_request_field_size
        self._line = line
        self._budget = min(
            line + longest + 2 if longest else sys.maxsize,
            self.start + limits.limit_request_head if limits.limit_request_head else sys.maxsize,
        )

    def _judge_up_to(self, end: int) -> None:
        """Judge the bytes from ``_judged`` to ``end``, all of one line; what is over its budget is not looked at."""
        within = min(end, self._budget)
        if self._line == self.start:
            # From one byte earlier, in case that was a CR and its LF is missing.
            if _no_part_of_a_request_line(self.received, max(self._judged - 1, self.start), within):
                raise ProtocolError("a control character, or half a line end, in the request line")
        else:
            if self._judged == self._line:
                self._count_field()
            self._tell_parser(bytes(self.received[self._judged : within]))
        if end > within:
            raise self._over_budget()
        self._judged = end

    def _count_field(self) -> None:
        if self.received[self._line] == _CR:
            return  # not a field: the end of the head
        self._fields += 1
        if self._fields > self._limits.limit_request_fields > 0:
            raise too_many_fields(self._limits)

    def _over_budget(self) -> ProtocolError:
        limits = self._limits
        if 0 < limits.limit_request_head <= self._budget - self.start:
            return head_too_large(limits)
        return line_too_long(limits) if self._line == self.start else field_too_long(limits)

    def _end_line(self, line_end: int) -> bool:
        """Judge a complete request line; of another line, say whether it is the empty one that ends the head."""
        line = self._line
        in_request_line = line == self.start
        self._begin_line(line_end)
        if in_request_line:
            parse_request_line(bytes(self.received[line : line_end - 2]))
            return False
        return line_end - line == 2

    def _tell_parser(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = HttpRequestParser(None)
            data = ANY_REQUEST_LINE + data
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # the head is complete
        except HttpParserError as error:
            raise malformed(error) from None

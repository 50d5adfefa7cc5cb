"""The Redis serialization protocol: a command is an array of strings, such as *2 $3 GET $1 k, with CRLF after each."""

import re

import workerkit

SIZE = re.compile(rb"[*$](\d{1,9})\r\n")


class Resp(workerkit.MessageProtocol):
    def parse(self, buffer):
        words, at = [], 0
        if not buffer.startswith(b"*"):  # a person's, by telnet: words in a line
            at = buffer.find(b"\n") + 1
            words = bytes(buffer[:at]).split()
        elif count := size_at(buffer, 0):
            at = count.end()
            while len(words) < int(count[1]):
                size = size_at(buffer, at)
                if not size or len(buffer) < size.end() + int(size[1]) + 2:
                    return None
                at = size.end() + int(size[1]) + 2
                words.append(bytes(buffer[size.end() : at - 2]))
        del buffer[:at]
        return words if at else None

    def last_word(self, error):
        return b"-ERR Protocol error\r\n"


def size_at(buffer, at):
    size = SIZE.match(buffer, at)
    if not size and b"\n" in buffer[at:]:
        raise workerkit.ProtocolError("expected the size of an array or a string")
    return size


def string_reply(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)

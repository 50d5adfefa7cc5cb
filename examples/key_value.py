"""A key-value server that Redis clients can talk to: python examples/key_value.py, then redis-cli -p 7001."""

import threading
import time

from resp import Resp, string_reply

import workerkit


class KeyValue(Resp):
    values, lock = {}, threading.Lock()  # key: [value, when it expires or 0]; a worker may have several threads

    def answer(self, words):
        with self.lock:
            for key in words[1:]:
                if 0 < self.values.get(key, [b"", 0])[1] <= time.monotonic():
                    del self.values[key]
            match [word.upper() for word in words[:1]] + words[1:]:
                case [b"PING"]:
                    return b"+PONG\r\n"
                case [b"GET", key]:
                    return string_reply(self.values.get(key, [None])[0])
                case [b"SET", key, value]:
                    self.values[key] = [value, 0]
                    return b"+OK\r\n"
                case [b"DEL", *keys]:
                    return b":%d\r\n" % sum(self.values.pop(key, None) is not None for key in keys)
                case [b"INCR", key] | [b"INCRBY", key, b"1"] if self.values.get(key, [b"0"])[0].isdigit():
                    entry = self.values.setdefault(key, [b"0", 0])
                    entry[0] = b"%d" % (int(entry[0]) + 1)
                    return b":%b\r\n" % entry[0]
                case [b"EXPIRE", key, seconds] if seconds.isdigit():
                    self.values.get(key, [b"", 0])[1] = time.monotonic() + int(seconds)
                    return b":%d\r\n" % (key in self.values)
        return b"-ERR this command is not known, or not like this\r\n"


if __name__ == "__main__":
    workerkit.run(KeyValue(), bind="127.0.0.1:7001", signals=True)

"""An echo server, a plain function over a stream: python examples/echo.py"""

import time

import workerkit


def echo(stream):
    stream.deadline = time.monotonic() + 60  # a whole conversation may last a minute
    for line in stream.lines(limit=64 * 1024):
        stream.write(line)


if __name__ == "__main__":
    workerkit.run(echo, bind="127.0.0.1:7000", workers=2, worker_class="threaded", signals=True)

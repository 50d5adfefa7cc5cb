"""Side by side with other servers: `python -m benchmarks --help`.

The harness itself needs only the standard library, wrk, and a compiler for the peers written in C. The
servers that it measures, workerkit among them, live in a virtual environment of its own under `.benchmarks/`.
All load goes to 127.0.0.1, is bounded in time, and every process started is ended by its number.
"""

"""The attacks of slowhttptest, and what it says that became of them."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.slow.cores import run_last
from workerkit.process.clock import monotonic
from workerkit.testing.deadline import DEADLINE

PROGRAM = "slowhttptest"
_LOOK_EVERY = 5.0


Look = Callable[[float], None]
"""Called now and then, with the seconds since the attackers began."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A way to be slow."""

    name: str
    words: tuple[str, ...]
    path: str
    limit: float
    """Seconds after which workerkit's defaults end such a client."""


ATTACKS = (
    Attack("slow headers", ("-H", "-i", "5", "-x", "24"), "/", 20),
    Attack("slow body", ("-B", "-i", "5", "-s", "8192", "-x", "10"), "/", 30),
    Attack("slow read", ("-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32"), "/large", 30),
)


@dataclass(frozen=True, slots=True)
class Account:
    """What slowhttptest counted, over all its runs."""

    peak: int
    """The most connections that were open at once."""
    unavailable: int
    """Seconds in which its own probe got no answer."""


def run(
    attack: Attack, port: int, *, seconds: float, connections: int, folder: Path, look: Look, last: bool
) -> Account:
    """Attack for so long, again whenever every connection has been closed; ``last``: only when a core is free.

    Raises:
        AssertionError: slowhttptest failed, or did not end.
    """
    end = monotonic() + seconds
    accounts = []
    while (left := end - monotonic()) >= 1:
        accounts.append(_run_once(attack, port, round(left), connections, folder, look, last))
    return Account(
        max(account.peak for account in accounts),
        sum(account.unavailable for account in accounts),
    )


def _run_once(
    attack: Attack, port: int, seconds: int, connections: int, folder: Path, look: Look, last: bool
) -> Account:
    report = folder / "slowhttptest"
    # By default it opens 50 a second; a short attack has no time for that.
    rate = max(50, round(4 * connections / seconds))
    command = [
        PROGRAM, *attack.words, "-c", str(connections), "-r", str(rate), "-l", str(seconds),
        "-u", f"http://127.0.0.1:{port}{attack.path}", "-p", "3", "-g", "-o", str(report), "-v", "1",
    ]  # fmt: skip
    with (folder / "slowhttptest.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if last:
        run_last(process.pid)  # it takes a whole core, and would delay whoever shares one with it
    start = monotonic()
    try:
        while monotonic() < start + seconds + DEADLINE:
            try:
                process.wait(_LOOK_EVERY)
                break
            except subprocess.TimeoutExpired:
                look(monotonic() - start)
    finally:
        process.kill()
        code = process.wait()
    assert code == 0, f"{PROGRAM} ended with {code}:\n{(folder / 'slowhttptest.log').read_text()}"
    with report.with_suffix(".csv").open() as file:
        return account_of(list(csv.DictReader(file)))


def account_of(rows: list[dict[str, str]]) -> Account:
    """Read its report, which has a line for each second.

    What it says of closed connections is not to be had from it: it goes on counting one that the server has closed, and
    whose kernel still has something to send.
    """
    return Account(
        peak=max((int(row["Connected"]) for row in rows), default=0),
        unavailable=sum(row["Service Available"] == "0" for row in rows),
    )

"""What workerkit has to reach: data, one line for each requirement.

A goal compares two figures of the same run, or one figure with a fixed limit. The `base` goals are those that
every version must meet; the `speed` goals are stricter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.bench import Row


@dataclass(frozen=True, slots=True)
class Figure:
    """Names one measured number: whose, of what, under which load."""

    peer: str
    metric: str
    load: str = ""

    def row(self, rows: Iterable[Row]) -> Row | None:
        return next((row for row in rows if (row.peer, row.load) == (self.peer, self.load)), None)

    def of_rounds(self, rows: Iterable[Row]) -> list[float]:
        """Return what was measured in each round; nothing, if a round failed."""
        row = self.row(rows)
        return [] if row is None or self.metric not in row.metrics else [one[self.metric] for one in row.rounds]

    def value(self, rows: Iterable[Row]) -> float | None:
        row = self.row(rows)
        return None if row is None else row.metrics.get(self.metric)


@dataclass(frozen=True, slots=True)
class Goal:
    """`subject` is at most `limit` times `reference`; without a reference, at most `limit`."""

    level: str
    scenario: str
    text: str
    subject: Figure
    limit: float
    reference: Figure | None = None

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (self.subject,) if self.reference is None else (self.subject, self.reference)

    def judge(self, rows: Sequence[Row]) -> Verdict:
        """Compare with what was measured; a figure that is missing falls short.

        Two figures are compared within each round, when the machine was in the same mood for both, and the median of
        that counts.
        """
        row = self.subject.row(rows)
        if row is None:
            return Verdict(self, None)
        if self.reference is None:
            return Verdict(self, self.subject.value(rows), row.failed_requests)
        pairs = zip(self.subject.of_rounds(rows), self.reference.of_rounds(rows), strict=False)
        ratios = [subject / reference for subject, reference in pairs if reference]
        return Verdict(self, median(ratios) if ratios else None, row.failed_requests)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a goal is met; `value` is None where something could not be measured.

    A figure that was reached while requests failed counts for nothing.
    """

    goal: Goal
    value: float | None
    failed_requests: int = 0

    @property
    def met(self) -> bool:
        return self.value is not None and self.value <= self.goal.limit and not self.failed_requests

    def describe(self) -> str:
        word = "pass      " if self.met else "FALL SHORT"
        sign = "" if self.goal.reference is None else " x"
        value = "not measured" if self.value is None else f"{self.value:.3g}{sign}"
        flaw = f", but {self.failed_requests} requests failed" if self.failed_requests else ""
        return f"{word}  {self.goal.text}: {value} (at most {self.goal.limit:.3g}{sign}){flaw}"


# gunicorn's worker class of the same kind; it has no eventlet worker any more, and gevent stands for it.
_SAME_KIND = {"sync": "sync", "threaded": "gthread", "gevent": "gevent", "eventlet": "gevent"}


def _ratio(level: str, scenario: str, metric: str, subject: str, limit: float, reference: str, load: str = "") -> Goal:
    """Return the usual goal: the same metric, under the same load, of two servers."""
    figures = [Figure(peer, metric, load) for peer in (subject, reference)]
    name = ", ".join(filter(None, (metric, load)))
    return Goal(level, scenario, f"{name}: {subject} against {reference}", figures[0], limit, figures[1])


def _cpu_goals() -> Iterable[Goal]:
    def cpu(level: str, kind: str, limit: float, reference: str) -> Goal:
        return _ratio(level, "cpu", "cpu_us", f"workerkit {kind}", limit, reference, "browser headers")

    yield cpu("base", "sync", 1.6, "bjoern")
    yield cpu("base", "sync", 1 / 6, "gunicorn sync")
    for kind, limit in (("sync", 1.3), ("gevent", 1.6), ("threaded", 1.9), ("eventlet", 2.6)):
        yield cpu("speed", kind, limit, "bjoern")
    for kind, same in _SAME_KIND.items():
        yield cpu("speed", kind, 1 / 5, f"gunicorn {same}")
    for kind in ("sync", "gevent"):
        for reference in ("granian", "uvicorn", "pyuwsgi"):
            yield cpu("speed", kind, 1.0, reference)


def _memory_goals() -> Iterable[Goal]:
    memory = Figure("workerkit sync", "pss_mib", "browser headers")
    yield Goal("speed", "cpu", "PSS of arbiter and one sync worker, MiB", memory, 24.0)
    yield _ratio("speed", "cpu", "pss_mib", "workerkit sync", 0.85, "gunicorn sync", "browser headers")


def _tail_goals() -> Iterable[Goal]:
    tail, middle = (Figure("workerkit threaded", name, "browser headers") for name in ("p99_ms", "p50_ms"))
    yield Goal("speed", "cpu", "p99 against p50, 16 connections, workerkit threaded", tail, 3.0, middle)
    tail, middle = (Figure("workerkit threaded", name, "10 ms wait") for name in ("p99_ms", "p50_ms"))
    yield Goal("speed", "waiting", "p99 against p50, 200 connections, workerkit threaded", tail, 3.0, middle)


def _body_goals() -> Iterable[Goal]:
    for load in ("64 KiB POST", "1 MiB stream"):
        for kind, same in _SAME_KIND.items():
            for reference in (f"gunicorn {same}", "waitress", "granian"):
                yield _ratio("speed", "bodies", "cpu_us", f"workerkit {kind}", 1.0, reference, load)


def _open_connection_goals() -> Iterable[Goal]:
    scenario, many = "open-connections", "10,000 idle"
    for kind, limit in (("sync", 2.5), ("threaded", 2.5), ("gevent", 12.0)):
        peer = f"workerkit {kind}"
        weight = Figure(peer, "idle_kib", many)
        yield Goal("speed", scenario, f"KiB of memory for each of 10,000 idle connections, {peer}", weight, limit)
        crowded, alone = (Figure(peer, "apart_us", load) for load in (many, "none idle"))
        text = f"µs between answers, among 10,000 idle connections against none, {peer}"
        yield Goal("speed", scenario, text, crowded, 1 / 0.9, alone)


def _access_log_goals() -> Iterable[Goal]:
    logged, silent = (Figure("workerkit sync", "cpu_us", load) for load in ("access log", "no access log"))
    yield Goal("speed", "access-log", "cpu_us with an access log against without, workerkit sync", logged, 1.15, silent)


def _slow_client_goals() -> Iterable[Goal]:
    for kind in ("keep-alive", "new connections"):
        crowded = Figure("workerkit sync", "p99_ms", f"{kind}, crowded")
        alone = Figure("workerkit sync", "p99_ms", f"{kind}, alone")
        text = f"p99 among slow clients against alone, {kind}"
        yield Goal("base", "slow-clients", text, crowded, 2.0, alone)


def _sharing_goals() -> Iterable[Goal]:
    # "No worse": 5 % is what the same server differs from itself between two runs. The closed load is not
    # judged: the quicker a server is, the sooner its clients have sent the next slow request.
    yield _ratio("base", "sharing", "p99_ms", "workerkit sync", 1.05, "gunicorn sync", "paced")


def _startup_goals() -> Iterable[Goal]:
    yield _ratio("base", "startup", "first_response_ms", "workerkit sync", 1.2, "gunicorn sync")
    unwanted = Figure("import workerkit", "unwanted_modules")
    yield Goal("base", "startup", "ssl and asyncio, imported by importing workerkit", unwanted, 0)


def _waiting_goals() -> Iterable[Goal]:
    for kind in ("gevent", "eventlet"):
        yield _ratio("base", "waiting", "apart_us", f"workerkit {kind}", 1.0, "gunicorn gevent", "10 ms wait")
    threaded = Figure("workerkit threaded", "apart_us", "10 ms wait")
    # 16 threads that do nothing but wait 10 ms answer 1,600 requests a second; 5 % may be lost.
    yield Goal("base", "waiting", "µs between answers, workerkit threaded", threaded, 1e6 / (1600 * 0.95))


def _kill_goals() -> Iterable[Goal]:
    lost = Figure("workerkit sync", "failed_elsewhere")
    yield Goal("base", "kills", "requests that failed outside a killed worker", lost, 0)
    late = Figure("workerkit sync", "ready_after_boot_ms")
    text = "from a worker's death to its successor's readiness, less the application's boot, ms"
    yield Goal("base", "kills", text, late, 100)


GOALS = (
    *_cpu_goals(),
    *_memory_goals(),
    *_tail_goals(),
    *_body_goals(),
    *_open_connection_goals(),
    *_access_log_goals(),
    *_slow_client_goals(),
    *_sharing_goals(),
    *_startup_goals(),
    *_kill_goals(),
    *_waiting_goals(),
)

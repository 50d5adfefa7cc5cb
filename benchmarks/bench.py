"""What every scenario works with: the peers to measure, for how long, and rounds that are interleaved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.environment import Environment
from benchmarks.load import LoadError
from benchmarks.machine import Cores
from benchmarks.peers import Peer, named
from benchmarks.served import Application
from benchmarks.server import HOST, Server, ServerError

Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a table: a peer under a load."""

    peer: Peer
    load: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one case: the medians over its rounds, the rounds, or why there are none."""

    peer: str
    load: str
    metrics: Metrics
    rounds: list[Metrics] = field(default_factory=list)
    note: str = ""

    @property
    def failed_requests(self) -> int:
        """How many requests were not answered with 200, in all rounds: a median would hide a single one."""
        return int(sum(metrics.get("errors", 0) for metrics in self.rounds))


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmarks."""

    environment: Environment
    say: Callable[[str], None]
    chosen: tuple[Peer, ...] = ()
    rounds: int | None = None
    seconds: float | None = None

    def peers(self, *default: str) -> list[Peer]:
        """Return the peers that the user chose, or else the scenario's own."""
        return list(self.chosen) or [named(name) for name in default]

    def start(
        self,
        peer: Peer,
        application: Application,
        *,
        cores: Cores,
        workers: int = 1,
        options: Sequence[str] = (),
    ) -> Server:
        """Start a peer; use what is returned as a context manager. Further options have gunicorn's names.

        Raises:
            ServerError: it is not installed, or cannot do what is asked.
        """
        if reason := self.environment.missing(peer):
            raise ServerError(reason)
        if workers > 1 and peer.one_process:
            raise ServerError("it has but one process")
        if options and not peer.speaks_gunicorn:
            raise ServerError(f"it is not known how it spells {options[0]}")
        target = application.asgi if peer.asgi else application.wsgi
        if not target:
            raise ServerError("it speaks ASGI, and this load's application is for WSGI")

        def argv(port: int) -> list[str]:
            return peer.argv(str(self.environment.bin), HOST, port, target, workers, options)

        return Server.start(peer.name, argv, cores.server, application.folder, application.variables)

    def interleave(self, cases: Sequence[Case], measure: Callable[[Case], Metrics], rounds: int) -> list[Row]:
        """Measure every case once a round: a machine that changes its pace then changes it for all of them.

        A case that fails is not tried again; its row says why.
        """
        measured: dict[Case, list[Metrics]] = {case: [] for case in cases}
        failures: dict[Case, str] = {}
        for number in range(1, rounds + 1):
            for case in cases:
                if case in failures:
                    continue
                self.say(f"round {number} of {rounds}: {case.peer.name}{case.load and f', {case.load}'}")
                try:
                    measured[case].append(measure(case))
                except (ServerError, LoadError) as error:
                    failures[case] = str(error)
        return [_row(case, measured[case], failures.get(case, "")) for case in cases]


def _row(case: Case, rounds: list[Metrics], failure: str) -> Row:
    names = rounds[0] if rounds and not failure else ()
    medians = {name: median(metrics[name] for metrics in rounds) for name in names}
    return Row(case.peer.name, case.load, medians, rounds, failure)

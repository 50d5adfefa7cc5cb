"""The servers that are measured, and how each is started.

A row of a table is a server with one worker class. Commands are templates: `{bin}` is the folder with the
programs of the benchmarks' own virtual environment, `{address}`, `{host}` and `{port}` say where to listen,
`{workers}` how many processes, `{app}` what to serve. Options only level the field: no access log, a long
keep-alive.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """One server with one worker class."""

    name: str
    distribution: str
    requirements: tuple[str, ...]
    command: str
    asgi: bool = False  # serves an ASGI application, not a WSGI one
    one_process: bool = False

    @property
    def speaks_gunicorn(self) -> bool:
        """Whether its options have gunicorn's names: only these servers can be asked for more than the template."""
        return self.distribution in ("workerkit", "gunicorn")

    def argv(
        self, programs: str, host: str, port: int, app: str, workers: int, options: Sequence[str] = ()
    ) -> list[str]:
        """Fill the template in; further options stand first, where every command takes them."""
        values = {"host": host, "port": port, "address": f"{host}:{port}", "app": app, "workers": workers}
        program, *words = [word.format(bin=programs, **values) for word in self.command.split()]
        return [program, *options, *words]


def _workerkit(worker_class: str, options: str = "") -> Peer:
    command = (
        "{bin}/workerkit --bind {address} --workers {workers} --keep-alive 75"
        f" --worker-class {worker_class} {options} {{app}}"
    )
    return Peer(f"workerkit {worker_class}", "workerkit", (), command)


def _gunicorn(worker_class: str, options: str = "", also: str = "", *, asgi: bool = False) -> Peer:
    # --http-parser python: the one that everybody gets who asks for nothing else.
    command = (
        "{bin}/gunicorn --bind {address} --workers {workers} --keep-alive 75 --no-control-socket"
        f" --http-parser python --worker-class {worker_class} {options} {{app}}"
    )
    return Peer(f"gunicorn {worker_class}", "gunicorn", ("gunicorn>=25.2", *also.split()), command, asgi)


def _launched(name: str, requirement: str) -> Peer:
    command = f"{{bin}}/python -m benchmarks.launch {name} {{host}} {{port}} {{app}}"
    return Peer(name, name, (requirement,), command, one_process=True)


PEERS = (
    _workerkit("sync"),
    _workerkit("threaded", "--threads 16"),
    _workerkit("gevent"),
    _workerkit("eventlet"),
    _launched("bjoern", "bjoern>=3.2"),  # in C, built from source: needs a compiler and libev's headers
    _gunicorn("sync"),
    _gunicorn("gthread", "--threads 16"),
    _gunicorn("gevent", also="gevent>=24.10.1 packaging"),  # gunicorn 27 does not ask for packaging, but imports it
    _gunicorn("asgi", asgi=True),
    _launched("fastwsgi", "fastwsgi>=0.0.9"),  # in C
    Peer(
        "granian",  # in Rust
        "granian",
        ("granian>=2",),
        "{bin}/granian --interface wsgi --host {host} --port {port} --workers {workers}"
        " --blocking-threads 1 --no-ws {app}",
    ),
    Peer(
        "uvicorn",
        "uvicorn",
        ("uvicorn[standard]>=0.30",),
        "{bin}/uvicorn --host {host} --port {port} --workers {workers} --timeout-keep-alive 75"
        " --no-access-log --log-level warning --lifespan off {app}",
        asgi=True,
    ),
    Peer(
        "pyuwsgi",  # in C; a worker stays with one keep-alive connection while the others wait
        "pyuwsgi",
        ("pyuwsgi>=2.0.26",),
        "{bin}/uwsgi --http11-socket {address} --processes {workers} --master --die-on-term --need-app"
        " --disable-logging --wsgi {app}",
    ),
    Peer(
        "waitress",
        "waitress",
        ("waitress>=3",),
        "{bin}/waitress-serve --listen {address} --channel-timeout 75 {app}",
        one_process=True,
    ),
    Peer(
        "cheroot",
        "cheroot",
        ("cheroot>=10",),
        "{bin}/cheroot --bind {address} --timeout 75 {app}",
        one_process=True,
    ),
)

NAMES = {peer.name: peer for peer in PEERS}


def named(name: str) -> Peer:
    """Return the peer of this name. Raises KeyError."""
    return NAMES[name]


def matching(words: str) -> list[Peer]:
    """Return the peers that a comma-separated list names, each by its own name or by its server's.

    Raises:
        argparse.ArgumentTypeError: a word matches none; the message lists the names.
    """
    chosen: list[Peer] = []
    for word in words.split(","):
        found = [peer for peer in PEERS if word.strip() in (peer.name, peer.distribution)]
        if not found:
            raise ArgumentTypeError(f"there is no server {word!r}, but {', '.join(NAMES)}")
        chosen += [peer for peer in found if peer not in chosen]
    return chosen

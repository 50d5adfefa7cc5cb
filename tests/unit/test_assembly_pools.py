"""Several pools under one arbiter, worker classes that serve nothing, and protocols chosen before anything starts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import workerkit
from workerkit import assembly
from workerkit.arbiter.base import Pool
from workerkit.arbiter.prefork import PreforkArbiter
from workerkit.config.files import read_file
from workerkit.config.pools import gather
from workerkit.errors import BootError, ConfigError, PluginError, UsageError, WorkerkitError
from workerkit.net.stream import Stream
from workerkit.protocols.dialogue import Dialogue
from workerkit.protocols.http1 import Http1

pytestmark = pytest.mark.usefixtures("home")

REFUSED = "the sync worker cannot run dialogues (plain functions over a stream), such as {}; choose --worker-class "


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return []


def echo(stream: Stream) -> None:
    stream.write(stream.read())


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """The consumer."""

    queue: str = field(default="tasks", metadata={"help": "Where its tasks come from."})


class Consumer(workerkit.Worker):
    """Serves nothing."""

    Options = ConsumerOptions

    def run(self) -> None:
        raise NotImplementedError


class Mute(workerkit.Protocol):
    """A protocol with settings of its own."""

    Options = (ConsumerOptions,)

    def __init__(self, queue: str) -> None:
        self.queue = queue

    @classmethod
    def serving(cls, service: workerkit.Service) -> Mute:
        return cls(service.options(ConsumerOptions).queue)

    def connect(self, stream: Stream) -> workerkit.Connection:
        raise NotImplementedError


def pools(**of_pools: dict[str, object]) -> dict[str, Pool]:
    return workerkit.create_arbiter(pools=of_pools).pools


def from_file(text: str, name: str = "pools.toml", words: tuple[str, ...] = ()) -> dict[str, Pool]:
    """Return the pools that the command would make of a configuration file."""
    Path(name).write_text(text)
    settings = gather(assembly.PLAN, words=words, file=read_file(name))
    return assembly.assemble(settings, signals=False).pools


# -- one pool, decided before anything starts --


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"wsgi_app": echo}, f"{__name__}:echo"), ({"wsgi_app": "talks:talk", "protocol": "dialogue"}, "talks:talk")],
)
def test_a_dialogue_on_sync_is_refused_at_once(settings: dict[str, Any], name: str) -> None:
    """Before anything is bound or forked, the message names the classes that fit."""
    with pytest.raises(ConfigError) as caught:
        workerkit.create_arbiter(**settings)

    refusal, _, names = str(caught.value).partition("; choose --worker-class ")
    assert f"{refusal}; choose --worker-class " == REFUSED.format(name)
    assert {"eventlet", "gevent", "threaded"} <= set(names.replace(" or ", ", ").split(", "))
    assert not {"sync", "gthread"} & set(names.replace(" or ", ", ").split(", "))


def test_a_dialogue_that_only_loading_reveals_is_refused_at_boot(tmp_path: Path) -> None:
    """A reference without a protocol is judged where it is loaded, with the same words."""
    (tmp_path / "workerkit_test_talks.py").write_text("def talk(stream): pass\n")

    with pytest.raises(BootError) as caught:
        workerkit.run("workerkit_test_talks:talk", bind="127.0.0.1:0", chdir=".", loglevel="critical")

    assert str(caught.value).startswith(REFUSED.format("workerkit_test_talks:talk"))


def test_a_function_is_served_as_a_dialogue() -> None:
    """On a class that can, a function of one argument is all there is to say."""
    pool = workerkit.create_arbiter(echo, worker_class="threaded").pools["default"]

    assert pool.serve is not None
    assert isinstance(pool.serve(), Dialogue)
    assert pool.scheme == "tcp"


def test_a_protocol_by_name_brings_its_settings() -> None:
    """``protocol`` names a class, whose options are settings, and which may need nothing to serve."""
    pool = workerkit.create_arbiter(protocol=f"{__name__}:Mute", queue="news").pools["default"]

    assert pool.serve is not None
    assert getattr(pool.serve(), "queue", None) == "news"


def test_a_worker_class_may_serve_nothing() -> None:
    """A class that runs no jobs needs neither an application nor an address; it may be given as it is."""
    pool = workerkit.create_arbiter(worker_class=Consumer, queue="news").pools["default"]

    assert (pool.worker_class, pool.listen, pool.serve) == (Consumer, None, None)
    assert pool.class_options == ConsumerOptions("news")


def test_a_worker_class_is_checked() -> None:
    """What is given in the place of a worker class must be one."""
    with pytest.raises(PluginError, match=r"Mute: expected a subclass of workerkit\.workers\.base\.Worker"):
        workerkit.create_arbiter(app, worker_class=Mute)


# -- several pools --


def test_each_pool_has_its_own_settings() -> None:
    """What a pool does not say is taken from the arguments for all."""
    arbiter = workerkit.create_arbiter(
        pools={
            "web": {"serve": app, "worker_class": "threaded", "threads": 3, "bind": "127.0.0.1:0", "timeout": 5},
            "talk": {"serve": echo, "worker_class": "threaded", "bind": "127.0.0.1:0"},
            "jobs": {"worker_class": Consumer, "queue": "news", "workers": 2},
        },
        timeout=70,
        threads=9,
        graceful_timeout=4,
    )
    web, talk, jobs = arbiter.pools.values()

    assert isinstance(arbiter, PreforkArbiter)
    assert arbiter.options.graceful_timeout == 4
    assert [pool.name for pool in (web, talk, jobs)] == ["web", "talk", "jobs"]
    assert [pool.worker_options.timeout for pool in (web, talk, jobs)] == [5, 70, 70]
    assert [getattr(pool.class_options, "threads", None) for pool in (web, talk, jobs)] == [3, 9, None]
    assert (jobs.workers, jobs.listen, jobs.class_options) == (2, None, ConsumerOptions("news"))
    assert web.serve is not None
    assert talk.serve is not None
    assert (type(web.serve()), type(talk.serve())) == (Http1, Dialogue)


def test_pools_share_what_is_served() -> None:
    """An application for all pools may be served by several kinds of workers."""
    arbiter = workerkit.create_arbiter(
        app, pools={"fast": {"bind": ":0"}, "slow": {"bind": "127.0.0.1:0", "worker_class": "threaded"}}
    )

    assert [type(pool.serve()) for pool in arbiter.pools.values() if pool.serve] == [Http1, Http1]


def test_lifespans_of_pools() -> None:
    """A pool has the lifespan for all, or its own."""

    @contextlib.contextmanager
    def common() -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def own() -> Iterator[None]:
        yield

    jobs = {"worker_class": Consumer}
    arbiter = workerkit.create_arbiter(pools={"one": jobs, "two": {**jobs, "lifespan": own}}, lifespan=common)

    assert [pool.lifespan for pool in arbiter.pools.values()] == [common, own]
    with pytest.raises(ConfigError, match=r"pools\['one'\]: lifespan: expected a callable, got 3"):
        workerkit.create_arbiter(pools={"one": {**jobs, "lifespan": 3}})


@pytest.mark.parametrize(
    ("of_pools", "error", "message"),
    [
        ({}, ConfigError, "keyword argument pools: there is no pool in it"),
        ({"web": {"wrokers": 1}}, ConfigError, "pools['web']: unknown key 'wrokers'; did you mean 'workers'?"),
        (
            {"web": {"loglevel": "debug"}},
            ConfigError,
            "pools['web']: unknown key 'loglevel'; it is for the whole server and belongs at the top level",
        ),
        (
            {"web": {"serve": app, "queue": "news"}, "jobs": {"worker_class": Consumer}},
            ConfigError,
            "pools['web']: unknown key 'queue'",
        ),
        (
            {"web": {"workers": "x"}},
            ConfigError,
            "must be auto, a number from 0 to 512, or a range such as 2..8, not 'x' (from pools['web'])",
        ),
        ({"web": {"keepalive": 1, "keep_alive": 2}}, ConfigError, "pools['web']: keepalive is given twice"),
        ({"web": {}}, UsageError, "pool web: nothing to serve"),
        ({"web": {"serve": app, "workers": 0}}, ConfigError, "pool web: workers is 0"),
        ({"web": {"serve": echo}}, ConfigError, f"pool web: {REFUSED.format(f'{__name__}:echo')}"),
        ({"web": {"serve": app, "worker_class": "snyc"}}, PluginError, "there is no worker class 'snyc'"),
        (
            {"web": {"serve": app}, "talk": {"serve": app}},
            ConfigError,
            "the pools web and talk both listen at 127.0.0.1:8000; give each its own bind",
        ),
    ],
)
def test_what_is_wrong_with_a_pool(
    of_pools: dict[str, dict[str, object]], error: type[WorkerkitError], message: str
) -> None:
    """An error names the pool that it is about."""
    with pytest.raises(error) as caught:
        pools(**of_pools)

    assert message in str(caught.value)


# -- from a file --


def test_pools_of_a_toml_file(tmp_path: Path) -> None:
    """A table for each pool; the top level, tables of plugins and the command line hold for all."""
    made = from_file(
        f"""
        timeout = 70
        [threaded]
        threads = 9
        [pools.web]
        serve = "shop:app"
        worker_class = "threaded"
        bind = ["127.0.0.1:0"]
        [pools.talk]
        serve = "talks:talk"
        protocol = "dialogue"
        worker_class = "threaded"
        threads = 2
        bind = "127.0.0.1:0"
        [pools.jobs]
        worker_class = "{__name__}:Consumer"
        workers = 2
        queue = "news"
        """,
        words=("--workers", "3", "--log-level", "warning"),
    )

    assert [pool.workers for pool in made.values()] == [3, 3, 2]
    assert [getattr(pool.class_options, "threads", None) for pool in made.values()] == [9, 2, None]
    assert [pool.worker_options.timeout for pool in made.values()] == [70] * 3
    assert [pool.scheme for pool in made.values()] == ["http", "tcp", ""]
    assert made["jobs"].class_options == ConsumerOptions("news")


def test_pools_of_a_python_file() -> None:
    """``pools`` is a dictionary of dictionaries there."""
    made = from_file(
        f"workers = 2\npools = {{'jobs': {{'worker_class': '{__name__}:Consumer', 'queue': 'news'}}}}\n",
        "pools.conf.py",
    )

    assert (made["jobs"].workers, made["jobs"].class_options) == (2, ConsumerOptions("news"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pools = 3", "pools.toml: pools: expected a table of settings for each pool, got 3"),
        ("[pools]\nweb = 3", "pools.toml: pools: expected a table of settings for each pool, got {'web': 3}"),
        ("[pools.web]\nwrokers = 3", "pools.toml [pools.web]: unknown key 'wrokers'; did you mean 'workers'?"),
        ("[pools.web]\ntimeout = 'x'", "timeout: expected a number of seconds (such as 30, 500ms or 2m), got 'x' "
         "(from pools.toml [pools.web])"),
        ("thread = 3\n[pools.web]\nserve = 'a:b'", "pools.toml: unknown key 'thread'"),
        ("[polls.web]\nserve = 'a:b'", "pools.toml: unknown key 'polls'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file(text: str, message: str) -> None:
    """The message names the file and the table."""
    with pytest.raises(ConfigError) as caught:
        from_file(text)

    assert message in str(caught.value)


def test_settings_of_pools_are_printed() -> None:
    """``--print-config`` shows each pool's table with what is said there, as TOML that can be used again."""
    Path("pools.toml").write_text(
        "workers = 2\n[pools.web]\nserve = 'shop:app'\nthreads = 3\nworker_class = 'threaded'\n"
    )
    lines = gather(assembly.PLAN, file=read_file("pools.toml")).lines()
    table = lines[lines.index("[pools.web]") :]

    assert "workers = 2  # pools.toml" in lines
    assert table == [
        "[pools.web]",
        'wsgi_app = "shop:app"  # pools.toml [pools.web]',
        'worker_class = "threaded"  # pools.toml [pools.web]',
        "threads = 3  # pools.toml [pools.web]",
    ]


def test_check_looks_at_every_pool(tmp_path: Path) -> None:
    """``--check-config`` says for each pool that it can be served, or started."""
    (tmp_path / "workerkit_test_web.py").write_text("def app(environ, start_response): pass\n")
    Path("pools.toml").write_text(
        f"chdir = '.'\n[pools.web]\nserve = 'workerkit_test_web:app'\n"
        f"[pools.mute]\nprotocol = '{__name__}:Mute'\nbind = ':0'\n"
        f"[pools.jobs]\nworker_class = '{__name__}:Consumer'\nworkers = 2\n"
    )

    assert assembly.check(gather(assembly.PLAN, file=read_file("pools.toml"))).splitlines() == [
        "OK: workerkit_test_web:app can be served by 1 sync worker(s)",
        "OK: Mute can be served by 1 sync worker(s)",
        f"OK: 2 {__name__}:Consumer worker(s) can be started",
    ]

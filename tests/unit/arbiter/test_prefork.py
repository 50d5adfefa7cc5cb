"""The prefork arbiter with real processes: it keeps the workers that are wanted, whatever happens to them."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from realm import READY, Consumer, Deaf, Realm, Stuck, await_death, is_alive, pool, when_logged

from workerkit.arbiter import spawn
from workerkit.arbiter.base import Arbiter, Renewed
from workerkit.arbiter.prefork import PreforkArbiter
from workerkit.errors import AppLoadError, BindError, BootError, ConfigError
from workerkit.net.listener import ListenerOptions
from workerkit.net.poller import READ, wait_for
from workerkit.net.protocol import Connection, Protocol
from workerkit.net.stream import Stream


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    realm = Realm(PreforkArbiter, tmp_path)
    yield realm
    realm.close()


# -- starting and stopping --


def test_workers_are_made_and_drained(realm: Realm) -> None:
    """As many as wanted become ready; a graceful stop lets them leave, and the arbiter returns 0."""
    realm.start(pool(workers=3))
    workers = realm.await_workers(3)
    assert len(set(workers)) == 3
    realm.signal(signal.SIGTERM)

    realm.await_line(r"Worker \d \(pid: \d+\) left", 3)
    realm.await_line("Stopped")
    assert realm.exit_code() == 0
    assert not any(map(is_alive, workers))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_waits_for_nobody(realm: Realm, number: signal.Signals) -> None:
    """Workers that do not leave when they are told to are killed after a second."""
    realm.start(pool(Deaf))
    workers = realm.await_workers()
    realm.signal(number)

    assert realm.exit_code() == 0
    assert not any(map(is_alive, workers))


def test_a_graceful_stop_has_its_time(realm: Realm) -> None:
    """Who has not left after graceful_timeout is killed."""
    realm.start(pool(Deaf, 1), graceful_timeout=0.2)
    realm.await_workers(1)
    realm.signal(signal.SIGTERM)

    realm.await_line(r"Killing worker 0 \(pid: \d+\): it did not leave in time")
    assert realm.exit_code() == 0


def test_a_graceful_stop_can_be_hurried(realm: Realm) -> None:
    """A second signal makes a graceful stop a quick one."""
    realm.start(pool(Deaf, 1), graceful_timeout=60.0)
    realm.await_workers(1)
    realm.signal(signal.SIGTERM)
    realm.await_line("Stopping gracefully")
    realm.signal(signal.SIGINT)

    assert realm.exit_code() == 0


def test_workers_leave_when_their_arbiter_is_killed(realm: Realm) -> None:
    """Nobody goes on serving without an arbiter, not even a worker that hears nothing."""
    realm.start(pool(Stuck))
    workers = realm.await_workers()
    realm.signal(signal.SIGKILL)

    for worker in workers:
        await_death(worker)


# -- deaths --


def test_a_worker_that_dies_is_replaced(realm: Realm) -> None:
    """A killed worker is named in the log with its signal, and another has its number at once."""
    realm.start()
    first, _ = realm.await_workers()
    os.kill(first, signal.SIGKILL)

    realm.await_line(rf"\(pid: {first}\) was ended by signal 9")
    [successor] = realm.await_workers(1)
    assert successor != first
    realm.stop()


def test_a_worker_that_hangs_is_killed_and_replaced(realm: Realm) -> None:
    """When a heart has not beaten for ``timeout``, its worker is killed."""
    realm.start(pool(Stuck, 1, timeout=0.2))
    [first] = realm.await_workers(1)

    realm.await_line(rf"Killing worker 0 \(pid: {first}\): its heart has not beaten for 0.2 s")
    assert realm.await_workers(1) != [first]
    realm.signal(signal.SIGINT)
    assert realm.exit_code() == 0


class Leaver(Consumer):
    """Exits by itself, with a code of its own."""

    def run(self) -> None:
        if self.context.slot == 0:
            os._exit(7)
        super().run()


def test_the_exit_code_of_a_worker_is_told(realm: Realm) -> None:
    """A worker that ends by itself is an error, named with its code, and replaced without end but ever later."""
    realm.start(pool(Leaver))
    realm.await_line("Worker 0 .* exited with code 7", 3)
    realm.stop()


class Failing(Consumer):
    """Serves for a while, then its own loop raises."""

    def run(self) -> None:
        raise RuntimeError("the loop is broken")


def test_a_worker_whose_loop_raises_is_told_apart_from_one_that_cannot_boot(realm: Realm) -> None:
    """The log says what was raised, and does not say of a worker that served that it could not boot."""
    realm.start(pool(Failing, 1))
    realm.await_workers(1)
    realm.await_line("RuntimeError: the loop is broken")
    realm.stop()

    assert "could not boot" not in realm.drain_log()


# -- booting --


class Unbootable(Consumer):
    """Cannot be booted."""

    def boot(self) -> None:
        raise AppLoadError("shop:app is no application", "  File shop.py, line 1\n")


def test_nobody_boots(realm: Realm) -> None:
    """When the first workers cannot boot, run() raises what they said, once, with its exit code."""
    realm.start(pool(Unbootable, 3))

    assert realm.exit_code() == 4
    told = [line for line in realm.drain_log().splitlines() if "shop:app is no application" in line]
    assert len(told) == 2, "once in the log, and once as the exception"
    assert told[-1] == "raised BootError: shop:app is no application"


def test_the_users_frames_are_in_the_exception(realm: Realm) -> None:
    """An embedder gets the reason, the frames and the exit code, and no process is left."""
    arbiter = realm.make([pool(Unbootable, 1)])

    with pytest.raises(BootError, match="shop:app is no application") as failed:
        arbiter.run()
    assert (failed.value.frames, failed.value.exit_code) == ("  File shop.py, line 1\n", 4)
    assert arbiter.status() == []


class Silent(Consumer):
    """Dies while it boots, without a word."""

    def boot(self) -> None:
        os._exit(9)


def test_nobody_boots_and_nobody_says_why(realm: Realm) -> None:
    """Workers that just die before any was ready end the arbiter as well."""
    realm.start(pool(Silent, 2))

    assert realm.exit_code() == 3
    assert "no worker became ready" in realm.drain_log()


class Slow(Consumer):
    """Never finishes to boot."""

    def boot(self) -> None:
        wait_for(os.pipe()[0], READ, None)


def test_booting_has_its_time(realm: Realm) -> None:
    """A worker that is not ready in time is killed."""
    realm.start(pool(Slow, 1), boot_timeout=0.2)

    realm.await_line("Killing worker 0 .* it was not ready within 0.2 s")
    realm.signal(signal.SIGINT)
    realm.exit_code()


# -- reloading --


class BootsAtGate(Consumer):
    """Boots when it is let, and tells how it was told to leave."""

    def boot(self) -> None:
        self.log.info("Waiting at the gate")
        with open("gate", "rb") as gate:
            gate.read(1)

    def run(self) -> None:
        while (order := self.tick()) is None:
            wait_for(self.orders, READ, self.beat_interval)
        self.log.info("Told to %s", order.name)


def test_who_boots_is_told_to_leave_as_one_that_may_serve_already(
    realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The arbiter may not have heard yet that a worker is ready, and a request that it has begun is not cut off."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("gate")
    realm.start(pool(BootsAtGate, 1))
    realm.await_line("Waiting at the gate")
    realm.signal(signal.SIGTERM)
    realm.await_line("Stopping gracefully")
    with open("gate", "wb") as gate:
        gate.write(b".")

    realm.await_line("Told to DRAIN_LAST")
    assert realm.exit_code() == 0


def test_a_reload_replaces_everybody(realm: Realm) -> None:
    """After HUP new workers serve before the old ones leave."""
    realm.start()
    before = realm.await_workers()
    realm.signal(signal.SIGHUP)

    after = realm.await_workers()
    realm.await_line(r"\(pid: \d+\) left", 2)
    assert not set(before) & set(after)
    assert not any(map(is_alive, before))
    assert all(map(is_alive, after))
    ready, left = (next(at for at, line in enumerate(realm.lines) if text in line)
                   for text in (f"ready (pid: {after[0]}", "left"))  # fmt: skip
    assert ready < left
    realm.stop()


class OldOnly(Consumer):
    """Boots in the first generation and in no other."""

    def boot(self) -> None:
        if self.context.generation > 1:
            raise BootError("the new code is broken", "  File shop.py, line 7\n")


def test_a_reload_that_does_not_boot_is_given_up(realm: Realm) -> None:
    """When the new code cannot be loaded, the old workers go on, and the log has the reason and the frames."""
    realm.start(pool(OldOnly))
    before = realm.await_workers()
    realm.signal(signal.SIGHUP)

    realm.await_line("could not boot: the new code is broken")
    realm.await_line("File shop.py, line 7")
    realm.await_line("Reload given up: the new workers")
    assert all(map(is_alive, before))
    realm.stop()


def test_a_worker_may_be_told_directly(realm: Realm) -> None:
    """TERM to a worker drains that one, and another takes its place."""
    realm.start()
    first, second = realm.await_workers()
    os.kill(first, signal.SIGTERM)

    realm.await_line(rf"\(pid: {first}\) left")
    realm.await_workers(1)
    assert is_alive(second)
    realm.stop()


class Tired(Consumer):
    """The first of its kind asks to be replaced as soon as it runs."""

    def run(self) -> None:
        if self.context.slot == 0:
            self.retire("hard work")
        super().run()


def test_who_asks_to_retire_is_replaced_first(realm: Realm) -> None:
    """A worker that wants to leave serves until its successor is ready."""
    realm.start(pool(Tired, 1))
    [first] = realm.await_workers(1)
    realm.await_line(rf"\(pid: {first}\) retires after hard work")
    realm.await_workers(1)
    realm.await_line(rf"\(pid: {first}\) left")
    realm.stop()


# -- other signals --


def test_the_number_of_workers_can_be_changed(realm: Realm) -> None:
    """TTIN adds a worker, TTOU takes one away, and one always stays."""
    realm.start(pool(workers=1))
    [first] = realm.await_workers(1)
    realm.signal(signal.SIGTTIN)
    [second] = realm.await_workers(1)
    realm.signal(signal.SIGTTOU)
    realm.await_line(rf"\(pid: {second}\) left")
    realm.signal(signal.SIGTTOU)
    realm.await_line("SIGTTOU: 1 workers instead of 1")

    assert is_alive(first)
    realm.stop()


def test_workers_can_be_stopped_and_brought_back(realm: Realm) -> None:
    """WINCH takes the workers away from an arbiter without a terminal; HUP brings them back."""
    realm.start()
    realm.await_workers()
    realm.signal(signal.SIGWINCH)
    realm.await_line(r"\(pid: \d+\) left", 2)
    assert is_alive(realm.pid)
    realm.signal(signal.SIGHUP)

    realm.await_workers()
    realm.stop()


class Talkative(Consumer):
    """Writes a line when it is told to leave."""

    def run(self) -> None:
        super().run()
        self.log.info("worker says goodbye")


def test_logs_are_reopened_everywhere(realm: Realm, tmp_path: Path) -> None:
    """After USR1 the arbiter and its workers write to the files that have the names now."""
    path = tmp_path / "error.log"
    path.symlink_to(realm.errorlog.replace("self", str(os.getpid())))
    realm.errorlog = str(path)
    realm.start(pool(Talkative, 1))
    realm.await_workers(1)
    path.unlink()
    realm.signal(signal.SIGUSR1)
    realm.stop()

    text = path.read_text()
    assert "Logs reopened" in text
    assert "worker says goodbye" in text
    assert "Stopped" not in realm.drain_log()


def breaks() -> Any:
    raise BootError("the application is broken", "  File shop.py, line 3\n")


class Server(Consumer):
    """Loads what it serves."""

    def boot(self) -> None:
        assert self.context.serve is not None
        self.context.serve()


@pytest.mark.parametrize(("name", "where"), [("default", ""), ("talk", "pool talk: ")])
def test_the_reason_of_the_end_names_the_pool(realm: Realm, name: str, where: str) -> None:
    """The exception says in which pool nobody could boot, unless there is but the one without a name."""
    realm.start(pool(Server, name=name, serve=breaks))

    assert realm.exit_code() == 3
    assert f"raised BootError: {where}the application is broken" in realm.drain_log()


# -- the mold --


class Unused(Protocol):
    """Something to serve that nobody connects to."""

    def connect(self, stream: Stream) -> Connection:
        raise AssertionError(f"nobody listens, so where does {stream} come from?")


class Application:
    """A factory as a pool has it: loads once in a process, and not again in those that are forked from it."""

    def __init__(self) -> None:
        self.loaded_by = 0

    def __call__(self) -> Protocol:
        self.loaded_by = self.loaded_by or os.getpid()
        return Unused()


class Loader(Consumer):
    """Tells where what it serves was loaded, and who its parent is."""

    def run(self) -> None:
        serve: Any = self.context.serve
        self.log.info("loaded by %d, child of %d", serve.loaded_by, os.getppid())
        super().run()


def test_preloaded_workers_share_their_application(realm: Realm) -> None:
    """The application is loaded once, in the mold, and its workers are the arbiter's own children all the same."""
    realm.start(pool(Loader, 3, preload=True, serve=Application()))
    told = realm.await_line(r"loaded by (\d+), child of (\d+)", 3)

    loaders = {match[1] for match in told}
    assert len(loaders) == 1
    assert {int(match[2]) for match in told} == {realm.pid}
    [mold] = loaders
    assert int(mold) != realm.pid
    realm.stop()
    assert not is_alive(int(mold))


class Collector(Consumer):
    """Tells whether the garbage collector would look at what was made before the fork."""

    def run(self) -> None:
        looked_at = any(found is self.context.serve for found in gc.get_objects())
        self.log.info("the application is %s", "looked at" if looked_at else "left alone")
        super().run()


def test_collections_leave_the_preloaded_application_alone(realm: Realm) -> None:
    """A collection writes to what it looks at: in workers it would copy the memory that they share."""
    realm.start(pool(Collector, preload=True, serve=Application()))

    realm.await_line("the application is left alone", 2)
    realm.stop()


def test_a_reload_with_preload_loads_anew(realm: Realm) -> None:
    """After HUP another mold has loaded the application, and the first one is gone."""
    realm.start(pool(Loader, 1, preload=True, serve=Application()))
    first = int(realm.await_line(r"loaded by (\d+), child")[0][1])
    realm.signal(signal.SIGHUP)

    second = int(realm.await_line(r"loaded by (\d+), child")[0][1])
    assert second != first
    await_death(first)
    realm.stop()


def test_a_dead_worker_comes_from_the_mold_again(realm: Realm) -> None:
    """A successor costs no second load, and deaths of adopted workers are told with their reason."""
    realm.start(pool(Loader, 1, preload=True, serve=Application()))
    [worker] = realm.await_workers(1)
    [told] = realm.await_line(r"loaded by (\d+), child")
    os.kill(worker, signal.SIGKILL)

    realm.await_line(rf"\(pid: {worker}\) was ended by signal 9")
    [again] = realm.await_line(r"loaded by (\d+), child")
    assert again[1] == told[1]
    realm.stop()


def test_a_mold_that_dies_is_made_again(realm: Realm) -> None:
    """Without a mold no worker can be made, so it is replaced like any process."""
    realm.start(pool(Loader, 1, preload=True, serve=Application()))
    mold = int(realm.await_line(r"loaded by (\d+), child")[0][1])
    os.kill(mold, signal.SIGKILL)
    realm.await_line(rf"Mold \(pid: {mold}\) was ended by signal 9")
    realm.signal(signal.SIGTTIN)

    other = int(realm.await_line(r"loaded by (\d+), child")[0][1])
    assert other != mold
    realm.stop()


def test_a_mold_that_cannot_load_ends_the_arbiter(realm: Realm) -> None:
    """The reason is told once and no worker is ever made."""
    realm.start(pool(preload=True, serve=breaks))

    assert realm.exit_code() == 3
    text = realm.drain_log()
    assert "raised BootError: the application is broken" in text
    assert not re.search(READY, text)


def test_preloaded_workers_leave_when_their_arbiter_is_killed(realm: Realm) -> None:
    """The parent of an adopted worker is the arbiter, for the kernel as well; the mold goes too."""
    realm.start(pool(Loader, 2, preload=True, serve=Application()))
    workers = realm.await_workers()
    mold = int(realm.await_line(r"loaded by (\d+), child")[0][1])
    realm.signal(signal.SIGKILL)

    for pid in (mold, *workers):
        await_death(pid)


# -- embedded: in this very process --


def test_an_embedded_arbiter_leaves_signals_alone(realm: Realm) -> None:
    """Without signals=True no handler is touched, and stop() from a callback ends run() with 0."""
    arbiter = realm.make([pool()])
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)]
    seen: list[list[Any]] = []

    def look() -> None:
        seen.append([signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD,
                                                             signal.SIGHUP)])  # fmt: skip
        arbiter.stop()

    with when_logged(arbiter, "Worker ready", look):
        assert arbiter.run() == 0
    assert seen[0] == before


def test_handlers_are_put_back(realm: Realm) -> None:
    """With signals=True the caller's handlers are in force again when run() has returned."""
    arbiter = realm.make([pool(workers=1)], signals=True)
    before = signal.getsignal(signal.SIGTERM)
    with when_logged(arbiter, "Worker ready", lambda: os.kill(os.getpid(), signal.SIGTERM)):
        assert arbiter.run() == 0

    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_the_status_names_every_worker(realm: Realm) -> None:
    """Before a run there is none; during it each worker is told with its number, slot, generation and state."""
    arbiter = realm.make([pool(workers=2)])
    assert arbiter.status() == []
    seen: list[Any] = []

    def look() -> None:
        seen.append(arbiter.status())
        if [worker.state for worker in seen[-1]] == ["ready", "ready"]:
            arbiter.stop()

    with when_logged(arbiter, "Worker ready", look):
        arbiter.run()

    told = [(worker.pool, worker.number, worker.slot, worker.generation) for worker in seen[-1]]
    assert told == [("default", 0, 0, 1), ("default", 1, 1, 1)]
    assert all(worker.pid for worker in seen[-1])


def test_a_reload_can_be_asked_for(realm: Realm) -> None:
    """reload() does what HUP does."""
    arbiter = realm.make([pool(workers=1)])
    asked: list[int] = []

    def reload_once() -> None:
        asked.append(1)
        arbiter.reload() if len(asked) == 1 else arbiter.stop()

    with when_logged(arbiter, "Worker ready", reload_once):
        arbiter.run()

    assert "Reloading" in realm.drain_log()
    assert len(set(re.findall(READY, realm.text))) == 2


def reload_outcomes(realm: Realm, arbiter: Arbiter, *, reloads: int = 1) -> list[str | None]:
    """Run an arbiter, reload it as soon as a worker is ready, and stop it when the last reload has ended."""
    outcomes: list[str | None] = []

    def ended(error: str | None) -> None:
        outcomes.append(error)
        if len(outcomes) == reloads:
            arbiter.stop()

    asked: list[int] = []

    def reload_once() -> None:
        if not asked:
            asked.extend(range(reloads))
            for _ in asked:
                arbiter.reload(ended)

    with when_logged(arbiter, "Worker ready", reload_once):
        assert arbiter.run() == 0
    return outcomes


def test_who_asked_for_a_reload_is_told_when_the_new_generation_serves(realm: Realm) -> None:
    """The callback gets None, once, when all new workers are ready."""
    arbiter = realm.make([pool(workers=1)])

    assert reload_outcomes(realm, arbiter) == [None]
    assert len(re.findall(READY, realm.drain_log())) == 2


def test_who_asked_for_a_reload_is_told_why_it_was_given_up(realm: Realm) -> None:
    """The callback gets the reason that the new worker had."""
    assert reload_outcomes(realm, realm.make([pool(OldOnly)])) == ["the new code is broken"]


def test_a_reload_that_is_superseded_says_so(realm: Realm) -> None:
    """Of two that are asked for together, the second is carried out."""
    arbiter = realm.make([pool(workers=1)])

    assert reload_outcomes(realm, arbiter, reloads=2) == ["superseded by another reload", None]


@pytest.mark.parametrize("error", [ConfigError("no such setting"), RuntimeError("a bug of the file's")])
def test_settings_that_cannot_be_read_change_nothing(realm: Realm, error: Exception) -> None:
    """Whatever the reading raises is the reason, and no worker is made."""
    arbiter = realm.make([pool(workers=1)])

    def renew() -> Any:
        raise error

    arbiter.renew = renew
    [outcome] = reload_outcomes(realm, arbiter)
    assert outcome is not None
    assert str(error) in outcome
    assert len(re.findall(READY, realm.drain_log())) == 1


def test_a_process_keeps_the_timeouts_of_its_release(realm: Realm) -> None:
    """A shorter timeout is for new workers: an old one that hangs has the time that it was promised."""
    arbiter = realm.make([pool(Stuck, workers=1, timeout=60.0)])
    renewed = pool(OldOnly, workers=1, timeout=0.001)
    arbiter.renew = lambda: Renewed([renewed], arbiter.options)
    outcomes: list[str | None] = []

    def ended(error: str | None) -> None:
        outcomes.append(error)
        arbiter.stop(graceful=False)

    with when_logged(arbiter, "Worker ready", lambda: arbiter.reload(ended)):
        arbiter.run()

    assert outcomes == ["the new code is broken"]
    assert "heart has not beaten" not in realm.drain_log()


def test_a_stop_before_the_run_ends_it(realm: Realm) -> None:
    """Whoever calls stop() early is not forgotten."""
    arbiter = realm.make([pool(Deaf)])
    arbiter.start()
    arbiter.stop(graceful=False)

    assert arbiter.run() == 0


def test_ctrl_c_without_our_handlers_stops_and_is_raised(realm: Realm) -> None:
    """An embedder's KeyboardInterrupt takes the workers along and arrives where it is expected."""
    arbiter = realm.make([pool(workers=1)])

    def interrupt() -> None:
        raise KeyboardInterrupt

    with when_logged(arbiter, "Worker ready", interrupt), pytest.raises(KeyboardInterrupt):
        arbiter.run()
    assert arbiter.status() == []


def test_no_descriptor_is_left_behind(realm: Realm) -> None:
    """An arbiter that has run has closed all that it opened."""
    pools = [pool(workers=1, listen=ListenerOptions(bind=("127.0.0.1:0",)))]
    before: set[str] = set()
    for _ in range(2):
        arbiter = realm.make(pools, signals=True)
        with when_logged(arbiter, "Worker ready", arbiter.stop):
            arbiter.run()
        gc.collect()  # the descriptors of logs are closed with them
        before = before or set(os.listdir("/proc/self/fd"))

    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_child_gets_what_is_its_own(realm: Realm) -> None:
    """A worker has its listeners, its channel and its log, and none of the arbiter's descriptors for others."""

    class Counting(Consumer):
        def run(self) -> None:
            kinds = [os.readlink(f"/proc/self/fd/{fd}") for fd in map(int, os.listdir("/proc/self/fd"))
                     if os.path.exists(f"/proc/self/fd/{fd}")]  # fmt: skip
            self.log.info("sockets: %d", sum(kind.startswith("socket:") for kind in kinds))
            super().run()

    arbiter = realm.make([pool(Counting, 4, listen=ListenerOptions(bind=("127.0.0.1:0",)))], signals=True)
    with contextlib.ExitStack() as stack:
        ready: list[int] = []
        stack.enter_context(when_logged(arbiter, "Worker ready", lambda: ready.append(1)))
        stack.enter_context(when_logged(arbiter, "Worker ready", lambda: len(ready) == 4 and arbiter.stop()))
        arbiter.run()

    counts = set(re.findall(r"sockets: (\d+)", realm.drain_log()))
    assert len(counts) == 1, f"later workers have more descriptors than earlier ones: {counts}"


def test_several_pools_live_side_by_side(realm: Realm) -> None:
    """Each pool has its own workers, and the log tells them apart."""
    jobs = pool(workers=1, name="jobs")
    arbiter = realm.make([pool(workers=1), jobs])
    with when_logged(arbiter, "Worker ready", lambda: len(arbiter.status()) == 2 and arbiter.stop()):
        arbiter.run()

    assert "of jobs" in realm.drain_log()


def test_a_fork_that_fails_is_tried_again(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system has no process to give, the log says so and the next attempt succeeds."""
    real, failures = spawn.fork, [OSError(11, "Resource temporarily unavailable")]

    def fork(child: Any) -> int:
        if failures:
            raise failures.pop()
        return real(child)

    monkeypatch.setattr(spawn, "fork", fork)
    arbiter = realm.make([pool(workers=1)])
    with when_logged(arbiter, "Worker ready", arbiter.stop):
        assert arbiter.run() == 0

    assert "Cannot fork: [Errno 11]" in realm.drain_log()


# -- listeners and the pid file --


def test_it_says_where_it_listens(realm: Realm) -> None:
    """Once somebody answers there, and not before, the log has the address with its real port."""
    realm.start(pool(workers=2, listen=ListenerOptions(bind=("127.0.0.1:0",))))
    realm.await_workers()
    [line] = [line for line in realm.lines if "Listening at" in line]
    port = int(line.partition("http://127.0.0.1:")[2].split()[0])

    with socket.create_connection(("127.0.0.1", port), 5.0):
        realm.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5.0)


def test_the_pid_file_lives_as_long_as_the_arbiter(realm: Realm, tmp_path: Path) -> None:
    """It holds the arbiter's id while workers run, and is gone afterwards."""
    path = tmp_path / "app.pid"
    realm.start(pool(workers=1), pidfile=str(path))
    realm.await_workers(1)

    assert path.read_text() == f"{realm.pid}\n"
    realm.stop()
    assert not path.exists()


def test_a_start_that_fails_leaves_nothing(realm: Realm, tmp_path: Path) -> None:
    """When an address cannot be had, the others are closed and the pid file is removed."""
    binds = (f"unix:{tmp_path}/app.sock", "192.0.2.1:8000")
    arbiter = realm.make([pool(listen=ListenerOptions(bind=binds))], pidfile=str(tmp_path / "app.pid"))

    with pytest.raises(BindError):
        arbiter.start()
    assert os.listdir(tmp_path) == []


def test_a_second_arbiter_does_not_take_the_pid_file(realm: Realm, tmp_path: Path) -> None:
    """A file that another running arbiter holds stays as it is."""
    path = tmp_path / "app.pid"
    realm.start(pool(workers=1), pidfile=str(path))
    realm.await_workers(1)

    with pytest.raises(ConfigError, match=f"belongs to the running process {realm.pid}"):
        realm.make([pool()], pidfile=str(path)).run()
    assert path.read_text() == f"{realm.pid}\n"
    realm.stop()

"""The policy, tested with tuples: no process is made here."""

from __future__ import annotations

import pytest

from workerkit.arbiter.policy import ForkRetry, Kill, Plan, RestartBudget, Spawn, SpawnMold, Stop, Wanted, divide, plan
from workerkit.arbiter.table import DEFAULT_POOL, Role, WorkerHandle
from workerkit.process.states import State

NOW = 1000.0


def wanted(workers: int = 2, generation: int = 1, **facts: object) -> Wanted:
    return Wanted(workers=workers, generation=generation, **facts)  # type: ignore[arg-type]


def worker(
    slot: int, number: int = 0, generation: int = 1, state: State = State.READY, **facts: object
) -> WorkerHandle:
    handle = WorkerHandle(Role.WORKER, DEFAULT_POOL, slot, number, generation, NOW - 5.0, 30.0, 60.0)
    handle.pid, handle.state = 100 + slot, state
    handle.ready_at = NOW - 1.0 if state is State.READY else None
    handle.beat = NOW
    for name, value in facts.items():
        setattr(handle, name, value)
    return handle


def mold(slot: int, generation: int = 1, state: State = State.READY) -> WorkerHandle:
    handle = worker(slot, -1, generation, state)
    handle.role = Role.MOLD
    return handle


def planned(handles: list[WorkerHandle], what: Wanted, *, spawn_at: float = 0.0, awake_since: float = 0.0) -> Plan:
    return plan(handles, what, spawn_at, awake_since, NOW)


def test_an_empty_pool_is_filled_at_once() -> None:
    """When nobody serves, all workers are spawned together, numbered from 0."""
    assert planned([], wanted(3)).actions == (Spawn(0), Spawn(1), Spawn(2))


def test_a_full_pool_needs_nothing() -> None:
    """With as many current workers as wanted there is nothing to do but to look at their hearts again."""
    made = planned([worker(0, 0), worker(1, 1)], wanted(2))

    assert made == Plan((), NOW + 30.0)


def test_a_dead_workers_number_is_used_again() -> None:
    """The lowest number that no current worker has goes to the next one."""
    assert planned([worker(0, 0), worker(2, 2)], wanted(3)).actions == (Spawn(1),)


def test_a_worker_that_boots_counts() -> None:
    """A worker is not spawned twice because it is slow to boot."""
    made = planned([worker(0, 0), worker(1, 1, state=State.BOOTING)], wanted(2))

    assert made.actions == ()


def test_a_draining_worker_does_not_count() -> None:
    """A worker that leaves is replaced."""
    leaving = worker(0, 0, state=State.DRAINING, stop_deadline=NOW + 10.0)

    assert planned([leaving, worker(1, 1)], wanted(2)).actions == (Spawn(0),)


def test_a_reload_sends_a_canary_first() -> None:
    """While an old generation serves, one worker of the new one is spawned, and nobody is stopped."""
    assert planned([worker(0, 0), worker(1, 1)], wanted(2, generation=2)).actions == (Spawn(0),)


def test_a_reload_waits_for_its_canary() -> None:
    """Nothing happens while the canary boots."""
    handles = [worker(0, 0), worker(1, 1), worker(2, 0, generation=2, state=State.BOOTING)]

    assert planned(handles, wanted(2, generation=2, batch=4)).actions == ()


def test_what_is_done_once_is_done_before_others_are_made() -> None:
    """With a hook for the first worker, that one is made alone, also when nothing serves yet."""
    alone = wanted(3).replace(first_alone=True)
    booting = [worker(0, 0, state=State.BOOTING)]

    assert planned([], alone).actions == (Spawn(0),)
    assert planned(booting, alone).actions == ()
    assert planned([worker(0, 0)], wanted(3)).actions == (Spawn(1), Spawn(2))


def test_a_ready_successor_replaces_one() -> None:
    """Each worker of the new generation that is ready lets one old worker go, and the next batch boots."""
    handles = [worker(0, 0), worker(1, 1), worker(2, 2), worker(3, 0, generation=2)]

    assert planned(handles, wanted(3, generation=2, batch=2)).actions == (Spawn(1), Spawn(2), Stop(0))


def test_a_finished_reload_leaves_only_the_new_generation() -> None:
    """When all successors are ready, every old worker is told to leave."""
    handles = [worker(0, 0), worker(1, 1), worker(2, 0, generation=2), worker(3, 1, generation=2)]

    assert planned(handles, wanted(2, generation=2)).actions == (Stop(0), Stop(1))


def test_a_given_up_reload_stops_the_new_generation() -> None:
    """When the wanted generation goes back, what booted of the new one leaves and the old one is left alone."""
    handles = [worker(0, 0), worker(1, 1), worker(2, 0, generation=2, state=State.BOOTING)]

    assert planned(handles, wanted(2, generation=1)).actions == (Stop(2),)


def test_a_retiring_worker_serves_until_its_successor_is_ready() -> None:
    """A worker that asked to retire is replaced first and stopped afterwards."""
    retiring = worker(0, 0, retiring="100 requests")

    assert planned([retiring, worker(1, 1)], wanted(2)).actions == (Spawn(0),)
    successor = worker(2, 0)
    assert planned([retiring, worker(1, 1), successor], wanted(2)).actions == (Stop(0),)


def test_fewer_workers_wanted_stops_the_highest_numbers() -> None:
    """Scaling down takes the highest numbers away."""
    assert planned([worker(0, 0), worker(1, 1), worker(2, 2)], wanted(1)).actions == (Stop(1), Stop(2))


def test_stopping_stops_everybody() -> None:
    """With nobody wanted, every process is told to leave, molds too."""
    handles = [mold(0), worker(1, 0), worker(2, 1, state=State.BOOTING)]

    assert set(planned(handles, wanted(0, preload=True)).actions) == {Stop(0), Stop(1), Stop(2)}


@pytest.mark.parametrize(
    ("handle", "reason"),
    [
        (worker(0, beat=NOW - 31.0, ready_at=NOW - 100.0), "its heart has not beaten for 30 s"),
        (worker(0, state=State.BOOTING, spawned_at=NOW - 61.0), "it was not ready within 60 s"),
        (worker(0, state=State.DRAINING, stop_deadline=NOW - 0.1), "it did not leave in time"),
    ],
)
def test_a_process_past_its_deadline_is_killed(handle: WorkerHandle, reason: str) -> None:
    """Every state has its deadline, and the reason says which one has passed."""
    assert Kill(0, reason) in planned([handle], wanted(1)).actions


def test_a_worker_that_is_ready_without_a_beat_yet_gets_the_whole_timeout() -> None:
    """The time since it became ready counts as a heartbeat."""
    assert planned([worker(0, beat=0.0, ready_at=NOW - 29.0)], wanted(1)) == Plan((), NOW + 1.0)


def test_old_heartbeats_prove_nothing_after_the_arbiter_was_stopped() -> None:
    """An arbiter that was suspended itself gives everybody the whole timeout again."""
    stale = worker(0, beat=NOW - 100.0, ready_at=NOW - 200.0)

    assert planned([stale], wanted(1), awake_since=NOW - 1.0) == Plan((), NOW + 29.0)


def test_no_timeout_means_no_kill() -> None:
    """Timeout 0 turns hang detection off."""
    stale = worker(0, beat=1.0, ready_at=1.0, timeout=0.0)

    assert planned([stale], wanted(1)) == Plan((), None)


def test_the_budget_delays_spawning() -> None:
    """Nothing is spawned before the budget allows it, and the plan says when to look again."""
    assert planned([], wanted(1), spawn_at=NOW + 3.0) == Plan((), NOW + 3.0)


def test_preload_makes_a_mold_first() -> None:
    """With preload, workers wait for the mold of their generation."""
    preloading = wanted(2, preload=True)

    assert planned([], preloading).actions == (SpawnMold(),)
    assert planned([mold(0, state=State.BOOTING)], preloading).actions == ()
    assert planned([mold(0)], preloading).actions == (Spawn(0), Spawn(1))


def test_the_old_mold_stays_until_the_reload_has_ended() -> None:
    """A reload that is given up needs the old mold, so it leaves only when there is nothing to fall back on."""
    handles = [mold(0, 1), worker(1, 0, 1), mold(2, 2), worker(3, 0, generation=2)]

    assert planned(handles, wanted(1, generation=2, preload=True, fallback=1)).actions == (Stop(1),)
    assert planned(handles, wanted(1, generation=2, preload=True, fallback=2)).actions == (Stop(1), Stop(0))


def test_the_budget_allows_a_burst_and_then_doubles() -> None:
    """A handful of deaths is replaced at once; a worker that keeps dying is replaced later and later."""
    budget = RestartBudget(burst=2.0, refill=10.0, first_delay=0.1, longest_delay=0.5)

    delays = []
    for _ in range(6):
        budget.death(NOW)
        delays.append(max(0.0, round(budget.spawn_at - NOW, 3)))

    assert delays == [0.0, 0.0, 0.1, 0.2, 0.4, 0.5]


def test_the_budget_recovers() -> None:
    """Time without a death refills the budget, and the delays begin anew."""
    budget = RestartBudget(burst=1.0, refill=10.0)
    budget.death(NOW)
    budget.death(NOW)
    assert budget.spawn_at > NOW

    budget.death(NOW + 10.0)

    assert budget.spawn_at < NOW + 10.0


def test_forks_that_fail_have_short_delays_of_their_own() -> None:
    """A system without processes says nothing about the application: soon again, half a second at most."""
    retry = ForkRetry()
    delays = []
    for _ in range(6):
        retry.failed(NOW)
        delays.append(round(retry.fork_at - NOW, 3))
    assert delays == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]

    retry.succeeded()
    assert retry == ForkRetry()


# -- listeners of their own --


def test_each_worker_accepts_from_the_share_of_its_number() -> None:
    """While all are ready, nobody has more than one share."""
    assert divide([worker(4, 0), worker(2, 1), worker(7, 2)], 3) == {4: [0], 2: [1], 7: [2]}


@pytest.mark.parametrize("absent", [[], [worker(2, 1, state=State.BOOTING)], [worker(2, 1, state=State.DRAINING)]])
def test_the_share_of_an_absent_worker_goes_to_the_others(absent: list[WorkerHandle]) -> None:
    """Whoever waits there is not made to wait for a successor."""
    assert divide([worker(4, 0), *absent, worker(7, 2)], 3) == {4: [0, 1], 7: [2]}


def test_orphaned_shares_are_spread() -> None:
    """Several shares without a worker go to different workers."""
    assert divide([worker(4, 0), worker(7, 2)], 5) == {4: [0, 1, 4], 7: [2, 3]}


def test_workers_beyond_the_shares_help() -> None:
    """After TTIN, or while generations overlap, two workers accept from one share."""
    assert divide([worker(1, 0), worker(2, 1), worker(3, 2)], 2) == {1: [0], 2: [1], 3: [0]}


def test_without_a_ready_worker_there_is_nobody_to_divide_among() -> None:
    """The listeners keep their queues until one is ready."""
    assert divide([worker(1, 0, state=State.BOOTING), mold(2)], 2) == {}

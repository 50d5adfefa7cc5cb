"""Checks a batch of streams in one process, which is another one for each."""

from __future__ import annotations

import faulthandler
import gc
import random
import sys
from collections import Counter
from dataclasses import dataclass, field

from tests.fuzz.streams import stream
from tests.fuzz.verdicts import LIMITS, check
from workerkit.http.fields import FieldsCache

_HANGS_AFTER = 120.0


@dataclass(slots=True)
class Report:
    """What a batch of streams has shown."""

    events: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    growth: int = 0


def examine(seed: int, first: int, count: int) -> Report:
    """Check streams in this process."""
    faulthandler.dump_traceback_later(_HANGS_AFTER, exit=True)  # a pattern that hangs lets nobody else speak
    report = Report()
    cache = FieldsCache(LIMITS)
    before = 0
    for number in range(first, first + count):
        if number == first + count // 2:
            before = _objects()
        data = stream(seed, number)
        chance = random.Random(number)
        try:
            events = check(data, [chance.randrange(len(data) + 1) for _ in range(4)], cache)
        except Exception as error:  # noqa: BLE001  whatever it is, it is what we are looking for
            report.failures[number] = f"{type(error).__name__}: {error}: {data!r}"
            continue
        report.events.update(str(event[1]) if event[0] == "refused" else str(event[0]) for event in events)
    report.growth = _objects() - before
    faulthandler.cancel_dump_traceback_later()
    return report


def _objects() -> int:
    gc.collect()
    return sys.getallocatedblocks()

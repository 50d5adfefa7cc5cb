"""One attempt to bring up a new generation in every pool: all of them come to serve, or all go back.

Each crew has two releases meanwhile, the wanted one and the proven one. To commit makes the wanted one the proven one;
to give up is to want the proven one again. The policy does the rest, in small steps.
"""

from __future__ import annotations

from collections.abc import Mapping

from workerkit.arbiter.base import Renewed
from workerkit.arbiter.crew import Crew, Release
from workerkit.net.listener import Listener
from workerkit.process.attachment import Done
from workerkit.records import Record


class Reload(Record):
    """A reload that is under way."""

    crews: dict[str, Crew]
    """All there are; crews of new pools join at the beginning, those of old ones leave after the end."""
    renewed: Renewed
    done: Done | None

    @classmethod
    def begin(
        cls,
        crews: dict[str, Crew],
        renewed: Renewed,
        listeners: Mapping[str, tuple[Listener, ...]],
        generation: int,
        done: Done | None,
    ) -> Reload:
        """Have every crew want its new release."""
        pools = {pool.name: pool for pool in renewed.pools}
        for name, crew in crews.items():
            if name not in pools:
                # It goes on until the others have come to serve; what an earlier reload had begun with it is off.
                crew.give_up()
        for name, pool in pools.items():
            release = Release(generation, pool, listeners[name], renewed.options)
            if name in crews:
                crews[name].begin(release)
            else:
                number = 1 + max((crew.number for crew in crews.values()), default=0)
                crews[name] = Crew.joining(number, release)
        return cls(crews, renewed, done)

    def commit(self) -> None:
        """Take the new releases for proven; pools that are gone from the settings lose their workers now."""
        names = {pool.name for pool in self.renewed.pools}
        for crew in self.crews.values():
            if crew.name in names:
                crew.settle()
            else:
                crew.dismiss()

    def give_up(self) -> None:
        """Want the proven releases again."""
        for crew in self.crews.values():
            crew.give_up()

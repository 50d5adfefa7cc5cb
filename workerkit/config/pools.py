"""Several pools under one arbiter: which settings each has, and how they are gathered.

What is said at the top level holds for all pools; a pool's own table (``[pools.web]``) wins over it, whatever source
it came from. Each pool has a worker class, and so settings, of its own.

Two rounds are needed, since the worker class decides which settings there are. The first reads no more than what
decides, from every source, and refuses nothing that it does not know; the second knows all settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from workerkit.config.commandline import parse
from workerkit.config.files import FileValues
from workerkit.config.layers import POOLS, PoolTable
from workerkit.config.schema import Schema
from workerkit.config.settings import Settings
from workerkit.errors import ConfigError
from workerkit.records import Record

Peek = Callable[[str], object]
"""``peek(name)``: the value of one setting while the others are not known yet."""

_NOTHING: Mapping[str, Any] = {}


class Plan(Record):
    """Which settings there are."""

    core: tuple[type, ...]
    """Options dataclasses of every run."""
    of_pools: tuple[type, ...]
    """Those of them that each pool may have for itself; the others are the whole server's."""
    of_plugins: Callable[[Peek], Iterable[tuple[str, type]]]
    """Returns the options that the plugins of a pool add, each with the name of its plugin's table."""


def gather(
    plan: Plan,
    *,
    words: Sequence[str] = (),
    command: Schema | None = None,
    environ: Mapping[str, str] = _NOTHING,
    file: FileValues | None = None,
    overrides: Mapping[str, object] = _NOTHING,
    other_sections: Callable[[], Iterable[str]] = tuple,
) -> Settings:
    """Gather all settings; ``pools`` of what is returned holds those of each pool, if pools are named.

    Args:
        plan: which settings there are.
        words: the command line.
        command: settings of the command itself, which the command line may hold as well.
        environ: as for ``Settings.gather``, like the rest.
        file: may hold pools, under the key ``pools``.
        overrides: the same.
        other_sections: names the plugins that are not in use.

    Raises:
        ConfigError: as for ``Settings.gather``.
        WorkerkitError: a plugin cannot be loaded.
    """
    core = Schema.of(*plan.core)
    overrides, tables = _pool_tables(file, overrides)

    def own_schema(base: Schema, table: PoolTable | None) -> Schema:
        def peek(name: str) -> object:
            flags = parse(words, core.only(name), strict=False) if words else _NOTHING
            return Settings.peek(name, core, flags, environ, file, overrides=overrides, pool=table)

        for section, options in plan.of_plugins(peek):
            base = base.extend(options, section=section)
        return base

    if not tables:
        schema = own_schema(core, None)
        flags = parse(words, schema.union(command or Schema())) if words else _NOTHING
        return Settings.gather(schema, flags, environ, file, overrides, other_sections=other_sections)
    schemas = [own_schema(core, table) for table in tables]
    known = core.union(*schemas)
    flags = parse(words, known.union(command or Schema())) if words else _NOTHING
    server = Settings.gather(core, flags, environ, file, overrides, other_sections=other_sections, known=known)
    of_pools = Schema.of(*plan.of_pools)
    for table, schema in zip(tables, schemas, strict=True):
        own = table.replace(schema=own_schema(of_pools, table))
        server.pools[table.name] = Settings.gather(
            schema, flags, environ, file, overrides, other_sections=other_sections, known=known, pool=own
        )
    return server


def _pool_tables(
    file: FileValues | None, overrides: Mapping[str, object]
) -> tuple[Mapping[str, object], list[PoolTable]]:
    """Return the keyword arguments without the pools, and the pools, from there or from the file."""
    if POOLS in overrides:
        rest = {key: value for key, value in overrides.items() if key != POOLS}
        return rest, _tables(overrides[POOLS], "pools[{!r}]", "keyword argument pools")
    if file is not None and POOLS in file.values:
        place = f"{file.name} pools[{{!r}}]" if file.is_python else f"{file.name} [pools.{{}}]"
        return overrides, _tables(file.values[POOLS], place, f"{file.name}: pools")
    return overrides, []


def _tables(pools: object, place: str, what: str) -> list[PoolTable]:
    if not isinstance(pools, Mapping) or not all(isinstance(table, Mapping) for table in pools.values()):
        raise ConfigError(f"{what}: expected a table of settings for each pool, got {pools!r}")
    if not pools:
        raise ConfigError(f"{what}: there is no pool in it")
    return [PoolTable(str(name), table, place.format(name)) for name, table in pools.items()]

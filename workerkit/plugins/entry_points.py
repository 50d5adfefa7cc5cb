"""Entry points: the plugins that installed distributions announce, read without importing any.

They stand in the ``entry_points.txt`` files of the distributions (the PyPA's "Entry points" and "Recording
installed projects" specifications). They are read here and not by importlib.metadata, because importing
that costs every start several times what reading the files does; it serves for what is no directory on
``sys.path``, such as a zip file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from workerkit.records import Record

_PREFIX = "workerkit."
_METADATA_SUFFIXES = (".dist-info", ".egg-info")


class Plugin(Record):
    """A plugin as its distribution announces it; nothing of it is imported yet."""

    name: str
    value: str
    distribution: str
    version: str

    @property
    def owner(self) -> str:
        """The distribution with its version, for people."""
        return f"{self.distribution} {self.version}".strip()


def available(group: str, distribution: str = "") -> list[Plugin]:
    """Return the plugins that installed distributions announce in ``group``, by name, without importing any.

    The distributions are scanned once per process, when this is first needed; only the one of this name, if one is
    given.
    """
    found = _scan(tuple(sys.path), canonical(distribution)).get(group, ())
    return sorted(found, key=lambda plugin: (plugin.name, plugin.distribution))


@cache
def _scan(path: tuple[str, ...], only: str) -> dict[str, list[Plugin]]:
    """Return the plugins of the distributions on ``path`` by group; the first of two versions counts."""
    groups: dict[str, list[Plugin]] = {}
    seen: set[str] = set()
    for entry in path:
        found = _in_directory(entry or ".", only) if os.path.isdir(entry or ".") else _elsewhere(entry, only)
        for distribution, version, text in found:
            if distribution not in seen:
                seen.add(distribution)
                for group, name, value in _entry_points(text):
                    groups.setdefault(group, []).append(Plugin(name, value, distribution, version))
    return groups


def _in_directory(directory: str, only: str) -> Iterator[tuple[str, str, str]]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:  # a directory on sys.path that may not be read holds nothing that could be imported either
        return
    for name in names:
        stem, suffix = os.path.splitext(name)
        distribution, _, version = stem.partition("-")
        if suffix in _METADATA_SUFFIXES and only in ("", canonical(distribution)):
            folder = os.path.join(directory, name)
            text = _read(os.path.join(folder, "entry_points.txt"))
            yield canonical(distribution), version.partition("-")[0] or _stated_version(folder), text


def _stated_version(folder: str) -> str:
    """Return the version of a development installation, whose folder is not named after it."""
    lines = _read(os.path.join(folder, "PKG-INFO")).splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Version:")), "")


def _elsewhere(entry: str, only: str) -> Iterator[tuple[str, str, str]]:
    if not os.path.exists(entry):
        return
    import importlib.metadata  # noqa: PLC0415  slow to import, rarely needed

    for found in importlib.metadata.distributions(path=[entry]):
        if only in ("", canonical(found.name)):
            yield canonical(found.name), found.version, found.read_text("entry_points.txt") or ""


def _entry_points(text: str) -> Iterable[tuple[str, str, str]]:
    """Yield group, name and value for each line of ours in the text of an ``entry_points.txt``."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[] ")
        elif "=" in line and not line.startswith(("#", ";")) and group.startswith(_PREFIX):
            name, _, value = line.partition("=")
            yield group, name.strip(), value.strip()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:  # most distributions announce nothing and have no such file
        return ""


def canonical(distribution: str) -> str:
    """Return the normal form of a distribution's name, as PyPA's "Names and normalization" defines it."""
    return "-".join(part for part in distribution.lower().replace("_", "-").replace(".", "-").split("-") if part)

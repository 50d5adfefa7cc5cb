"""What the user probably meant: the known word that looks most like an unknown one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the one of ``words`` most like ``word``, if its similarity (0 to 1) reaches ``cutoff``."""
    return next(iter(by_likeness(word, words, cutoff)[:1]), None)


def by_likeness(word: str, words: Iterable[str], cutoff: float = 0.0) -> list[str]:
    """Return ``words`` with the one that looks most like ``word`` first, without those below ``cutoff``."""
    import difflib  # noqa: PLC0415  only a mistake pays for it

    known = list(words)
    return difflib.get_close_matches(word, known, len(known) or 1, cutoff)


def did_you_mean(word: str | None) -> str:
    """Return the end of a message that suggests ``word``; empty if there is nothing to suggest."""
    return f"; did you mean {word!r}?" if word else ""

"""The page that ``--help`` prints: an example, then one line for each flag, under its heading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workerkit.config.schema import POSITIONAL, Schema, Setting

_INDENT = "  "
_COLUMN = 32
_NARROWEST = 40


def page(usage: str, schema: Schema, width: int) -> str:
    """Return the help page.

    Args:
        usage: what stands on top: how the command is called, and an example.
        schema: the settings, in the order in which they shall come.
        width: columns of the terminal.
    """
    groups = (_group(heading, settings, width) for heading, settings in schema.headings().items())
    parts = [usage, *groups]
    return "\n\n".join(part for part in parts if part)


def _group(heading: str, settings: Iterable[Setting], width: int) -> str:
    lines = [line for setting in settings if _invocation(setting) for line in _entry(setting, width)]
    return "\n".join([f"{heading}:", *lines]) if lines else ""


def _entry(setting: Setting, width: int) -> Iterator[str]:
    import textwrap  # noqa: PLC0415  only --help pays for it

    left = _INDENT + _invocation(setting)
    right = textwrap.wrap(_short(setting), max(width - _COLUMN, _NARROWEST), break_on_hyphens=False)
    if len(left) > _COLUMN - len(_INDENT):
        yield left
        left = ""
    for line in right or [""]:
        yield f"{left:{_COLUMN}}{line}".rstrip()
        left = ""


def _invocation(setting: Setting) -> str:
    if setting.name == POSITIONAL:
        return setting.metavar
    flags = ", ".join(_shown_flags(setting))
    return flags if setting.is_switch or not flags else f"{flags} {setting.metavar}".rstrip()


def _shown_flags(setting: Setting) -> Iterable[str]:
    """Return the flags; those of a switch that is on say that it can be switched off."""
    if setting.default is True:
        return (f"--[no-]{setting.flag[2:]}",)
    return setting.flags


def _short(setting: Setting) -> str:
    first = setting.help.partition(". ")[0].rstrip(" .")
    choices = f" [{', '.join(setting.choices)}]" if setting.choices else ""
    default = setting.show(setting.default)
    return f"{first}{choices}".lstrip() + (f" (default: {default})" if default and setting.default is not False else "")

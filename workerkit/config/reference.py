"""The settings reference: one Markdown section for each setting, in the groups of ``--help``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workerkit.config.schema import POSITIONAL, Schema, Setting


def markdown(schema: Schema) -> str:
    """Return the sections of the reference page; its title and introduction are the documentation's."""
    return "\n".join(line for heading, settings in schema.headings().items() for line in _group(heading, settings))


def _group(heading: str, settings: Iterable[Setting]) -> Iterator[str]:
    yield from (f"## {heading}", "")
    for setting in settings:
        yield from (f"### `{setting.name}`", "", setting.help, "")
        yield from (
            "| | |",
            "| --- | --- |",
            *(f"| {name} | {text} |" for name, text in _facts(setting) if text),
            "",
        )


def _facts(setting: Setting) -> Iterator[tuple[str, str]]:
    yield "Command line", _command_line(setting)
    if setting.is_function:
        yield "Called as", _codes((f"{setting.name}{setting.metavar}",))
        return
    yield "File key", _codes((setting.name, *setting.aliases))
    yield "Table", f"`[{setting.section}]` (or the top level)" if setting.section else ""
    yield "Variable", _codes((setting.variable, *setting.platform_variables))
    yield "Type", setting.kind.name + (" (may be unset)" if setting.kind.optional else "")
    yield "Choices", _codes(setting.choices)
    yield "Default", _codes((setting.show(setting.default),)) or "not set"


def _command_line(setting: Setting) -> str:
    if setting.name == POSITIONAL:
        return _codes((setting.metavar,))
    if setting.negative:
        return _codes((*setting.flags, setting.negative))
    repeated = ", may be given several times" if setting.kind.repeatable else ""
    return _codes(f"{flag} {setting.metavar}" for flag in setting.flags) + repeated if setting.flags else ""


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(f"`{_escape(text)}`" for text in texts if text)


def _escape(text: str) -> str:
    return text.replace("|", "\\|")  # a bar ends a cell, inside code too

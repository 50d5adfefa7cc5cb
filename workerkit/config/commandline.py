"""The command line: words in, what was given for each setting out. Nothing here exits or prints."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from workerkit.config.schema import POSITIONAL, Schema, Setting
from workerkit.errors import UsageError
from workerkit.spelling import nearest


def parse(words: Sequence[str], schema: Schema, *, strict: bool = True, source: str = "") -> dict[str, object]:
    """Return what a command line gives, by setting: unchecked text, True or False, or a list of texts.

    Args:
        words: the words after the program's name.
        schema: the settings that have flags.
        strict: refuse a flag that is unknown. Before the worker class is known, its flags are not.
        source: where the words come from, if not from the command line itself; messages begin with it.

    Raises:
        UsageError: an unknown flag, a flag without its value, an argument too many.
    """
    parser = _parser(schema)
    try:
        namespace, unknown = parser.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise _usage_error(str(error), source) from None
    if unknown and strict:
        raise _usage_error(_describe(unknown, schema), source)
    return vars(namespace)


def _parser(schema: Schema) -> argparse.ArgumentParser:
    """Return an argparse without its habits: it abbreviates nothing, prints nothing and does not exit."""
    parser = argparse.ArgumentParser(
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
        argument_default=argparse.SUPPRESS,
        # One is made for each argument; without a width it would look for the terminal's, at 3 ms for all.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=80),
    )
    for setting in schema:
        if setting.name == POSITIONAL:
            parser.add_argument(setting.name, nargs="?", metavar=setting.metavar)
        elif setting.negative:
            parser.add_argument(*setting.flags, dest=setting.name, action="store_true")
            parser.add_argument(setting.negative, dest=setting.name, action="store_false")
        elif setting.flags:
            action = "append" if setting.kind.repeatable else "store"
            parser.add_argument(*setting.flags, dest=setting.name, action=action)
    return parser


def _usage_error(message: str, source: str) -> UsageError:
    return UsageError(f"{source}: {message}" if source else message)


def _describe(words: Sequence[str], schema: Schema) -> str:
    word = next((word for word in words if word.startswith("-") and word != "-"), None)
    if word is None:
        return f"unexpected argument {words[0]!r}: one application is served, as MODULE:APP"
    flag = word.partition("=")[0]
    known = (flag[2:] for setting in schema for flag in _flags(setting) if flag.startswith("--"))
    meant = nearest(flag.lstrip("-"), known)  # without the dashes, which make everything look alike
    hint = f"did you mean --{meant}?" if meant else "see workerkit --help"
    return f"unrecognized argument {flag}; {hint}"


def _flags(setting: Setting) -> Iterator[str]:
    yield from setting.flags
    if setting.negative:
        yield setting.negative

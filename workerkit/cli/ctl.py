"""``workerkit ctl``: asks a running server how it is, or tells it what to do, at its control socket.

Which commands there are, and what each can be given, stands in the server's own table, ``control.commands``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from workerkit.cli.table import table
from workerkit.control.client import ask
from workerkit.control.commands import COMMANDS, Argument
from workerkit.control.options import ControlOptions, usual_path
from workerkit.control.wire import Message, encode, failed
from workerkit.errors import ControlError, UsageError
from workerkit.spelling import did_you_mean, nearest

_PATIENCE = 10.0  # seconds, for what a server answers at once
_USAGE = """\
Example: workerkit ctl reload --wait

Usage: workerkit ctl [OPTIONS] COMMAND [OPTIONS]

Asks a running server how it is, or tells it what to do, at its control socket.

Commands:
{commands}

Options:
  -s, --socket PATH    The control socket; otherwise the one that the variable
                       WORKERKIT_CONTROL_SOCKET or the configuration file names,
                       or else the one that --control-socket auto makes.
  -c, --config FILE    The server's configuration file, if it is not the one
                       that the server would find in this folder.
  --timeout SECONDS    How long to wait for the answer: 10 s; with --wait, as
                       long as it takes.
  --json               Print the answer as it came, a line of JSON.
  -h, --help           Print this page and exit."""

_OWN = {
    "socket": Argument(str, "PATH"),
    "config": Argument(str, "FILE"),
    "timeout": Argument(float, "SECONDS"),
    "json": Argument(bool, ""),
}
_SHORT = {"-s": "--socket", "-c": "--config"}


class _Request(NamedTuple):
    """What the words ask for."""

    command: str
    arguments: dict[str, object]
    own: dict[str, Any]
    """The options of this side."""


def run(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Ask the server what ``words`` say, print its answer and return the exit code.

    Raises:
        UsageError: The words make no sense.
        ConfigError: The configuration file cannot be used.
        ControlError: The server could not do it, or could not be reached.
    """
    asked = _parse(words[1:])
    if asked is None:
        print(_USAGE.format(commands="\n".join(_command_lines())))
        return 0
    path = asked.own.get("socket") or _path(asked.own.get("config"), environ)
    timeout = asked.own.get("timeout", None if asked.arguments.get("wait") else _PATIENCE)
    as_json = "json" in asked.own
    try:
        answer = ask(path, {"command": asked.command, **asked.arguments}, timeout)
    except ControlError as error:
        if not as_json:
            raise
        print(encode(failed(str(error))).decode(), end="")
        return error.exit_code
    text = encode(answer).decode() if as_json else _for_people(asked.command, answer)
    print(text, end="")
    return 0


def _path(config: str | None, environ: Mapping[str, str]) -> str:
    """Return where the server's settings say that its control socket is."""
    from workerkit.config.files import FileOptions, find_file, read_file  # noqa: PLC0415  not with --socket
    from workerkit.config.schema import Schema  # noqa: PLC0415  not with --socket
    from workerkit.config.settings import Settings  # noqa: PLC0415  not with --socket

    schema = Schema.of(FileOptions, ControlOptions)
    path = Settings.peek("control_socket", schema, environ=environ)
    if path is None:
        location = config or Settings.peek("config", schema, environ=environ)
        file = read_file(str(location)) if location else find_file()
        path = Settings.peek("control_socket", schema, environ=environ, file=file)
    return usual_path() if path is None else str(path)


# -- the words -------------------------------------------------------------------------------------------------------


def _parse(words: Sequence[str]) -> _Request | None:
    """Return what is asked for; None: this command's own help."""
    command = ""
    arguments: dict[str, object] = {}
    own: dict[str, object] = {}
    pending = iter(words)
    for word in pending:
        if word in {"-h", "--help"}:
            return None
        if not word.startswith("-"):
            if command:
                raise UsageError(f"workerkit ctl takes one command, got {command} and {word}")
            command = _known(word)
            continue
        flag, _, value = word.partition("=")
        name = _SHORT.get(flag, flag).removeprefix("--")
        if name in _OWN:
            own[name] = _value(flag, _OWN[name], value, pending)
        elif command and name in COMMANDS[command].arguments:
            arguments[name] = _value(flag, COMMANDS[command].arguments[name], value, pending)
        else:
            raise UsageError(f"unrecognized argument {flag}; see workerkit ctl --help")
    return _Request(command, arguments, own) if command else None


def _known(word: str) -> str:
    if word not in COMMANDS:
        hint = did_you_mean(nearest(word, COMMANDS)) or f"; there are {', '.join(COMMANDS)}"
        raise UsageError(f"workerkit ctl has no command {word!r}{hint}")
    return word


def _value(flag: str, argument: Argument, value: str, pending: Iterator[str]) -> object:
    if argument.kind is bool:
        return True
    text = value or next(pending, "")
    if argument.kind is str and text:
        return text
    from workerkit.config.values import kind_of  # noqa: PLC0415  most need no number

    kind = kind_of(argument.kind, "seconds" if argument.kind is float else None)
    assert kind is not None  # noqa: S101  each kind of an argument is one of a setting
    try:
        return kind.convert(text) if text else kind.convert(None)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None


def _command_lines() -> Iterator[str]:
    for name, command in COMMANDS.items():
        yield f"  {name:11}{command.help}"
        for key, argument in command.arguments.items():
            yield f"    --{key:7}{argument.help}"


# -- the answer ------------------------------------------------------------------------------------------------------


def _for_people(command: str, answer: Message) -> str:
    if command == "status":
        return "\n".join(_status_lines(answer)) + "\n"
    if command == "help":
        return "\n".join(_help_lines(answer)) + "\n"
    return ""


def _help_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Tell the commands of that server, which may be of another version than this one."""
    for name, command in answer["commands"].items():
        yield f"{name:11}{command['help']}"
        for key, text in command["arguments"].items():
            yield f"  --{key:7}{text}"


def _status_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    reloading = ", reloading" if answer["reloading"] else ""
    yield f"workerkit {answer['version']}, pid {answer['pid']}, up {_duration(answer['uptime'])}{reloading}"
    for rows in (answer["pools"], answer["workers"]):
        if rows:
            yield ""
            yield _columns(rows)


def _columns(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as a table of whatever facts the server tells."""
    names = list(rows[0])
    numbers = {at for at, name in enumerate(names) if all(isinstance(row[name], int | float | None) for row in rows)}
    heads = [name.replace("_", " ").upper() for name in names]
    return table([heads, *([_cell(row[name]) for name in names] for row in rows)], right=numbers)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return _duration(value) if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days}d ' if days else ''}{hours}:{minutes:02}:{rest:02}"

"""The commands of the control socket, as a table: from it come what the server does, what the client offers, and help.

They run in the arbiter, in its loop, so none of them may block; what takes long answers later. A command more is a
function and a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workerkit import spelling
from workerkit.control.wire import Message, failed, succeeded
from workerkit.process.attachment import Supervised
from workerkit.records import Record

Answer = Callable[[Message], None]
"""Called once, now or later, in the loop's thread."""


class Target(Record):
    """What is asked and told."""

    server: Supervised
    version: str
    uptime: Callable[[], float]
    """Seconds since it was started."""


class Argument(Record):
    """What a command can be given besides its name."""

    kind: type
    """bool, int, float or str."""
    help: str
    default: object = None


class Command(Record):
    """One command."""

    run: Callable[[Target, Mapping[str, Any], Answer], None]
    help: str
    arguments: Mapping[str, Argument] = {}
    commands: bool = True
    """Whether it makes the server do something: that is logged. Otherwise it only asks."""


def find(request: Message) -> tuple[str, Command, dict[str, Any]]:
    """Return the name of the command that a request names, the command, and all its arguments.

    Raises:
        ValueError: It names none, or an argument is wrong; the message says how it could be.
    """
    name = request.get("command")
    command = COMMANDS.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or command is None:
        meant = spelling.nearest(name, COMMANDS) if isinstance(name, str) else None
        hint = f"did you mean {meant}? " if meant else ""
        raise ValueError(f"there is no command {name!r}; {hint}There are {', '.join(COMMANDS)}")
    given = {key: value for key, value in request.items() if key != "command"}
    unknown = next((key for key in given if key not in command.arguments), None)
    if unknown is not None:
        known = ", ".join(command.arguments) or "no arguments"
        raise ValueError(f"{name} takes {known}, not {unknown!r}")
    for key, value in given.items():
        kind = command.arguments[key].kind
        if type(value) is not kind:  # True would be an int
            raise ValueError(f"{name}: {key} must be a {kind.__name__}, not {value!r}")
    return name, command, {key: argument.default for key, argument in command.arguments.items()} | given


def _status(target: Target, _arguments: Mapping[str, Any], answer: Answer) -> None:
    server = target.server
    answer(
        succeeded(
            version=target.version,
            pid=server.pid,
            uptime=round(target.uptime(), 3),
            reloading=server.reloading,
            pools=[vars(pool) for pool in server.pool_status()],
            workers=[vars(worker) for worker in server.status()],
        )
    )


def _reload(target: Target, arguments: Mapping[str, Any], answer: Answer) -> None:
    if arguments["wait"]:
        target.server.reload(lambda error: answer(succeeded() if error is None else failed(error)))
    else:
        target.server.reload()
        answer(succeeded())


def _reopen(target: Target, _arguments: Mapping[str, Any], answer: Answer) -> None:
    target.server.reopen_logs()
    answer(succeeded())


def _stop(target: Target, arguments: Mapping[str, Any], answer: Answer) -> None:
    # First the answer: soon nobody is left to give it.
    answer(succeeded())
    target.server.stop(graceful=not arguments["quick"])


def _help(_target: Target, _arguments: Mapping[str, Any], answer: Answer) -> None:
    answer(
        succeeded(
            commands={
                name: {"help": command.help, "arguments": {key: known.help for key, known in command.arguments.items()}}
                for name, command in COMMANDS.items()
            }
        )
    )


COMMANDS: dict[str, Command] = {
    "status": Command(_status, "Say how the server and each of its workers are.", commands=False),
    "reload": Command(
        _reload,
        "Replace every worker by a new one, without losing a request.",
        {"wait": Argument(bool, "Answer when all new workers serve, or why the reload was given up.", default=False)},
    ),
    "reopen": Command(_reopen, "Open the log files anew, after they were moved away."),
    "stop": Command(
        _stop,
        "Finish the requests that are under way, and end.",
        {"quick": Argument(bool, "Finish nothing, end at once.", default=False)},
    ),
    "help": Command(_help, "Say which commands there are.", commands=False),
}

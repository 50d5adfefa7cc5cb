"""The settings of the command itself, which only the command line gives."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False, repr=False)
class CommandOptions:
    """This command."""

    check_config: bool = field(
        default=False,
        metadata={"help": "Load everything, the application too, say whether it can be served, and exit."},
    )
    print_config: bool = field(
        default=False,
        metadata={"help": "Print every setting with its value and where it came from, and exit."},
    )
    version: bool = field(default=False, metadata={"help": "Print the version and exit."})
    help: bool = field(default=False, metadata={"flags": ("-h",), "help": "Print this page and exit."})

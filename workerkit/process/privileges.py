"""Privileges: who a process is while user code runs in it.

The arbiter keeps what it was started with: it may have to bind a low port again, and it has to signal everybody.
Workers, and with --preload the mold that they are forked from, give up theirs before the application is imported.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workerkit.errors import ConfigError
from workerkit.records import Record

if TYPE_CHECKING:
    from pwd import struct_passwd

_HIGHEST_ID = 2**32 - 2  # the one above it means "leave it as it is" to the kernel


def _check_user(value: object) -> None:
    _user_id(value)


def _check_group(value: object) -> None:
    _group_id(value)


def _parse_mask(text: str) -> int:
    try:
        # As Python reads numbers; and 0022, as everybody else does.
        return int(text, 8) if text.startswith("0") and text.isdecimal() else int(text, 0)
    except ValueError:
        raise ValueError(f"expected a mask such as 027 or 0o27, got {text!r}") from None


def _check_mask(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o777:
        raise ValueError(f"expected a mask from 0 to 0o777, got {value!r}")


@dataclass(frozen=True, eq=False, repr=False)
class PrivilegeOptions:
    """Privileges."""

    user: int | str | None = field(
        default=None,
        metadata={
            "flags": ("-u",),
            "metavar": "USER",
            "parse": str,
            "check": _check_user,
            "help": "Who workers run as, by name or number. Only root can become another; the arbiter stays root.",
        },
    )
    group: int | str | None = field(
        default=None,
        metadata={
            "flags": ("-g",),
            "metavar": "GROUP",
            "parse": str,
            "check": _check_group,
            "help": "The group that workers run as, by name or number; otherwise the one that the user belongs to.",
        },
    )
    umask: int = field(
        default=0,
        metadata={
            "flags": ("-m",),
            "metavar": "MASK",
            "parse": _parse_mask,
            "format": "{:03o}".format,
            "check": _check_mask,
            "help": "Permissions that files of the workers and Unix sockets do without, such as 027; "
            "0 leaves the umask as it is.",
        },
    )
    initgroups: bool = field(
        default=False,
        metadata={"help": "Let workers have the other groups too that their user is a member of."},
    )


class Privileges(Record):
    """What a child becomes; each None or 0 stays as it is."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] | None = None
    """All groups: those of whoever started the server would open to the application what is theirs."""
    umask: int = 0

    @classmethod
    def of(cls, options: PrivilegeOptions) -> Privileges:
        """Return the privileges that the settings ask for. In the arbiter, before anything is started.

        Raises:
            ConfigError: It would take root to have them.
        """
        user = _user_id(options.user)
        group = _group_id(options.group)
        entry = _entry_of(user)
        if group is None and entry is not None:
            group = entry.pw_gid
        groups: tuple[int, ...] | None = None
        if group is not None:
            members = os.getgrouplist(entry.pw_name, group) if options.initgroups and entry is not None else [group]
            groups = tuple(members)
        if os.geteuid() != 0:
            _refuse_changes("user", options.user, user, os.geteuid())
            _refuse_changes("group", options.group, group, os.getegid())
            # What is asked for is what we have; nobody but root may touch the groups.
            user = group = groups = None
        return cls(user, group, groups, options.umask)

    def drop(self) -> None:
        """Become that. In a child, before anything of the application is imported.

        Raises:
            ConfigError: The system refuses.
        """
        if self.umask:
            os.umask(self.umask)
        try:
            # The user last: whoever is not root any more can change nothing.
            if self.groups is not None:
                os.setgroups(self.groups)
            if self.group is not None:
                os.setresgid(self.group, self.group, self.group)
            if self.user is not None:
                os.setresuid(self.user, self.user, self.user)
        except OSError as error:
            raise ConfigError(f"cannot become user {self.user} and group {self.group}: {error.strerror}") from error

    def own(self, paths: Iterable[str]) -> None:
        """Give files that the arbiter has made (Unix sockets, logs) to whom the workers will be.

        Devices and pipes that a path may name belong to others. Does nothing in a worker, which could not.

        Raises:
            ConfigError: The file system refuses.
        """
        if os.geteuid() != 0 or (self.user is None and self.group is None):
            return
        for path in paths:
            try:
                mode = os.stat(path).st_mode
                if stat.S_ISREG(mode) or stat.S_ISSOCK(mode):
                    os.chown(path, _or_same(self.user), _or_same(self.group))
            except OSError as error:
                raise ConfigError(f"cannot give {path} to the user of the workers: {error.strerror}") from error


UNCHANGED = Privileges()


def _or_same(number: int | None) -> int:
    return -1 if number is None else number


def _entry_of(user: int | None) -> struct_passwd | None:
    if user is None:
        return None
    import pwd  # noqa: PLC0415  few name one

    try:
        return pwd.getpwuid(user)
    except KeyError:  # a number without a name, as containers have them
        return None


def _user_id(value: object) -> int | None:
    number = _number(value, "user")
    if number is not None or value is None:
        return number
    import pwd  # noqa: PLC0415  few name one

    try:
        return pwd.getpwnam(str(value)).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {value!r} on this machine") from None


def _group_id(value: object) -> int | None:
    number = _number(value, "group")
    if number is not None or value is None:
        return number
    import grp  # noqa: PLC0415  few name one

    try:
        return grp.getgrnam(str(value)).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {value!r} on this machine") from None


def _number(value: object, what: str) -> int | None:
    """Return the id that a number, or text that is one, stands for; None: it is a name, or nothing."""
    if value is None or (isinstance(value, str) and not value.isdecimal()):
        return None
    if isinstance(value, bool) or not isinstance(value, int | str) or not 0 <= int(value) <= _HIGHEST_ID:
        raise ValueError(f"expected the name or the number of a {what}, got {value!r}")
    return int(value)


def _refuse_changes(what: str, asked: object, wanted: int | None, current: int) -> None:
    if wanted is not None and wanted != current:
        named = f"{what} {asked}" if asked is not None else f"the user's {what}, {wanted}"
        raise ConfigError(
            f"workers cannot run as {named}: only root can become another {what}. "
            f"Start workerkit as root, or leave the setting {what if asked is not None else 'user'} out"
        )

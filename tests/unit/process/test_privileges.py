"""Who workers become: names and numbers, what is refused, and the change itself, in a child."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

import pytest

from workerkit.config.schema import Schema
from workerkit.errors import ConfigError
from workerkit.process.fork import fork
from workerkit.process.privileges import UNCHANGED, PrivilegeOptions, Privileges

SCHEMA = Schema.of(PrivilegeOptions)
NOBODY = pwd.getpwnam("nobody")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def checked(name: str, value: object) -> object:
    setting = SCHEMA.find(name)
    assert setting is not None
    return setting.check(value)


@pytest.mark.parametrize(
    ("text", "mask"), [("0", 0), ("027", 0o27), ("0o27", 0o27), ("0x17", 0o27), ("22", 22), ("0022", 0o22)]
)
def test_a_mask_is_read_as_gunicorn_reads_it(text: str, mask: int) -> None:
    """A leading zero means octal, as in a shell; otherwise it is a number as Python writes it."""
    assert checked("umask", text) == mask


@pytest.mark.parametrize("value", ["09", "rwx", "-1", 0o1000])
def test_what_is_no_mask_is_refused(value: object) -> None:
    """The message says what was expected."""
    with pytest.raises(ValueError, match="expected a mask"):
        checked("umask", value)


@pytest.mark.parametrize("value", ["nobody", str(NOBODY.pw_uid), NOBODY.pw_uid])
def test_a_user_has_a_name_or_a_number(value: object) -> None:
    """Both are taken, the number as text too."""
    asked = PrivilegeOptions(user=checked("user", value))

    if os.geteuid() == 0:
        assert Privileges.of(asked).user == NOBODY.pw_uid


@pytest.mark.parametrize("name", ["user", "group"])
def test_nobody_by_that_name(name: str) -> None:
    """An unknown name is refused before anything starts."""
    with pytest.raises(ValueError, match=f"there is no {name} 'no-such-one' on this machine"):
        checked(name, "no-such-one")


@pytest.mark.parametrize("value", [True, 1.5, -3, 2**32])
def test_what_can_be_nobodys_number(value: object) -> None:
    """Numbers that the kernel has no user for are refused."""
    with pytest.raises(ValueError, match="expected the name or the number of a user"):
        checked("user", value)


def test_nothing_asked_is_nothing_changed() -> None:
    """The defaults leave a process as it is."""
    assert Privileges.of(PrivilegeOptions()) == UNCHANGED
    UNCHANGED.drop()


@ROOT
def test_a_user_brings_the_group_that_it_belongs_to() -> None:
    """Without ``group``, workers are not left in the group of root."""
    privileges = Privileges.of(PrivilegeOptions(user="nobody"))

    assert privileges == Privileges(NOBODY.pw_uid, NOBODY.pw_gid, (NOBODY.pw_gid,), 0)


@ROOT
def test_a_number_without_a_name_keeps_the_group() -> None:
    """A user that the machine does not know by name, as in containers, belongs to no group."""
    assert Privileges.of(PrivilegeOptions(user=54321)) == Privileges(54321, None, None, 0)


@ROOT
def test_the_other_groups_of_a_user_come_by_request() -> None:
    """``initgroups`` gives the groups that the user is a member of; without it there is the one."""
    asked = PrivilegeOptions(user="root", group="nogroup", initgroups=True)

    assert set(Privileges.of(asked).groups or ()) >= {Privileges.of(asked).group}


def test_what_would_change_nothing_takes_no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that names the user who starts the server works for that user."""
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "getegid", lambda: 4711)

    assert Privileges.of(PrivilegeOptions(user=4711, group="4711", umask=0o27)) == Privileges(None, None, None, 0o27)


@pytest.mark.parametrize(("asked", "word"), [({"user": "nobody"}, "user nobody"), ({"group": 4712}, "group 4712")])
def test_only_root_can_become_another(monkeypatch: pytest.MonkeyPatch, asked: dict[str, object], word: str) -> None:
    """Everybody else is told so before anything starts."""
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "getegid", lambda: 4711)

    with pytest.raises(ConfigError, match=f"cannot run as {word}: only root"):
        Privileges.of(PrivilegeOptions(**asked))


@ROOT
def test_a_child_that_drops_its_privileges_has_none_left(tmp_path: Path) -> None:
    """User, group, groups and umask are the new ones, and there is no way back."""
    privileges = Privileges.of(PrivilegeOptions(user="nobody", umask=0o27))
    reader, writer = os.pipe()

    def child() -> int:
        privileges.drop()
        try:
            os.setuid(0)
            back = "back"
        except PermissionError:
            back = "no way back"
        old = os.umask(0)
        os.write(writer, repr((os.getresuid(), os.getresgid(), os.getgroups(), old, back)).encode())
        return 0

    os.waitpid(fork(child), 0)
    os.close(writer)
    user, group = NOBODY.pw_uid, NOBODY.pw_gid
    with os.fdopen(reader) as told:
        assert told.read() == repr(((user,) * 3, (group,) * 3, [group], 0o27, "no way back"))


@ROOT
def test_files_of_the_server_become_the_workers(tmp_path: Path) -> None:
    """Unix sockets and logs change hands; a device or a pipe that a path names does not."""
    log, path, pipe = tmp_path / "log", tmp_path / "socket", tmp_path / "pipe"
    log.touch()
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        Privileges.of(PrivilegeOptions(user="nobody")).own(map(str, (log, path, pipe)))

    assert [file.stat().st_uid for file in (log, path, pipe)] == [NOBODY.pw_uid, NOBODY.pw_uid, 0]

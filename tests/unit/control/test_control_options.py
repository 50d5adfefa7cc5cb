"""Where the control socket may be."""

from __future__ import annotations

import pytest

from workerkit.config.schema import Schema
from workerkit.config.settings import Settings
from workerkit.control.options import ControlOptions
from workerkit.errors import ConfigError

SCHEMA = Schema.of(ControlOptions)


def gathered(**overrides: object) -> ControlOptions:
    return Settings.gather(SCHEMA, overrides=overrides).build(ControlOptions)


def test_there_is_none_unless_asked_for() -> None:
    """By default nobody can command a server, and the mode lets nobody else in."""
    options = gathered()

    assert (options.control_socket, options.control_socket_mode) == (None, 0o600)


@pytest.mark.parametrize(
    ("runtime", "path"), [("/run/user/7", "/run/user/7/workerkit.ctl"), ("", "/run/workerkit.ctl")]
)
def test_auto(monkeypatch: pytest.MonkeyPatch, runtime: str, path: str) -> None:
    """``auto`` is the user's own folder for such files, or the system's."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)

    assert gathered(control_socket="auto").control_socket == path


def test_mode_is_octal() -> None:
    """As chmod and gunicorn read it."""
    assert gathered(control_socket_mode="660").control_socket_mode == 0o660


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("control_socket", "", "must be the path of a file, or auto"),
        ("control_socket", "@name", "must be the path of a file, or auto"),
        ("control_socket", "/" + "x" * 107, "at most 107 bytes"),
        ("control_socket_mode", "rw", "octal mode, such as 600"),
        ("control_socket_mode", "1777", "octal mode from 0 to 777"),
    ],
)
def test_what_cannot_be(name: str, value: str, reason: str) -> None:
    """It is refused before anything is started; an abstract name, because it would have no permissions."""
    with pytest.raises(ConfigError, match=reason):
        gathered(**{name: value})

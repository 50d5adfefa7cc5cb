"""What can be asked at the control socket, and what happens then."""

from __future__ import annotations

import os

import pytest
from supervised import Realm, is_waiting, read_answer

from workerkit.control import commands
from workerkit.errors import ConfigError


def test_status(realm: Realm) -> None:
    """It tells of the arbiter, of each pool and of each worker."""
    realm.serve()
    realm.pass_time(12.5)
    answer = realm.ask(command="status")

    assert answer == {
        "ok": True,
        "version": "1.2.3",
        "pid": 4242,
        "uptime": 12.5,
        "reloading": False,
        "pools": [vars(pool) | {"addresses": list(pool.addresses)} for pool in realm.arbiter.pool_status()],
        "workers": [vars(worker) for worker in realm.arbiter.status()],
    }


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"command": "reload"}, "reload"),
        ({"command": "reload", "wait": False}, "reload"),
        ({"command": "reopen"}, "reopen"),
        ({"command": "stop"}, "stop"),
        ({"command": "stop", "quick": True}, "stop quickly"),
    ],
)
def test_commands_reach_the_arbiter(realm: Realm, request_: dict[str, object], told: str) -> None:
    """What is asked for is done, once, and answered at once."""
    realm.serve()

    assert realm.ask(**request_) == {"ok": True}
    assert realm.arbiter.told == [told]


@pytest.mark.parametrize(
    ("error", "answer"),
    [(None, {"ok": True}), ("no module 'shop'", {"ok": False, "error": "no module 'shop'"})],
)
def test_reload_that_is_waited_for(realm: Realm, error: str | None, answer: dict[str, object]) -> None:
    """The answer comes when the reload has ended, however long that takes, and says how."""
    realm.serve()
    client = realm.send(b'{"command": "reload", "wait": true}\n')
    realm.pass_time(100_000)
    assert is_waiting(client)
    [done] = realm.arbiter.waiting
    done(error)

    assert read_answer(client) == answer


def test_help_tells_each_command_and_argument(realm: Realm) -> None:
    """A program can find out what there is."""
    realm.serve()
    answer = realm.ask(command="help")

    assert set(answer["commands"]) == set(commands.COMMANDS)
    assert "wait" in answer["commands"]["reload"]["arguments"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"command": "statsu"}, "there is no command 'statsu'; did you mean status? There are status, reload"),
        ({"command": ["status"]}, "there is no command ['status']; There are status"),
        ({}, "there is no command None"),
        ({"command": "reload", "wiat": True}, "reload takes wait, not 'wiat'"),
        ({"command": "status", "wait": True}, "status takes no arguments, not 'wait'"),
        ({"command": "reload", "wait": 1}, "reload: wait must be a bool, not 1"),
    ],
)
def test_requests_that_make_no_sense(realm: Realm, request_: dict[str, object], error: str) -> None:
    """They change nothing, and the answer says how it could be."""
    realm.serve()
    answer = realm.ask(**request_)

    assert answer["ok"] is False
    assert str(answer["error"]).startswith(error)
    assert realm.arbiter.told == []


def test_what_an_arbiter_refuses(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the answer."""

    def refuse(*_: object) -> None:
        raise ConfigError("bind 'x': no")

    realm.serve()
    monkeypatch.setitem(commands.COMMANDS, "scale", commands.Command(refuse, "Refuse."))

    assert realm.ask(command="scale") == {"ok": False, "error": "bind 'x': no"}


def test_a_mistake_in_a_command_ends_no_server(
    realm: Realm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered and logged, and the next request is answered."""
    realm.serve()
    monkeypatch.setattr(realm.arbiter, "workers", [None])
    answer = realm.ask(command="status")

    assert answer["ok"] is False
    assert str(answer["error"]).startswith("status failed: TypeError")
    assert caplog.messages == ["Control socket: status failed"]
    assert realm.ask(command="reopen") == {"ok": True}


def test_the_log_says_who_asked(realm: Realm, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever makes the server do something is logged with the process and the user; a question is not."""
    realm.serve()
    with caplog.at_level("INFO"):
        realm.ask(command="status")
        realm.ask(command="reopen")

    assert caplog.messages == [f"Control socket: reopen, asked by pid {os.getpid()} of user {os.getuid()}"]

"""What is the eventlet worker's own: its hubs, and what it says of eventlet's future."""

from __future__ import annotations

import sys

import pytest
from harness import Launcher

PRELOAD = pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])


@PRELOAD
def test_one_line_instead_of_eventlets_warnings(serve: Launcher, preload: list[str]) -> None:
    """Neither the import nor a fork shows a warning of eventlet's; one line of ours says what they say."""
    server = serve("cooperates:app", "-k", "eventlet", *preload, workers=1)
    server.get("/")

    assert server.log.text.count("eventlet is maintained for bug fixes only") == 1
    assert "EventletDeprecationWarning" not in server.log.text
    assert "fork()" not in server.log.text
    assert "RLock" not in server.log.text


@PRELOAD
@pytest.mark.parametrize("by", ["flag", "variable"])
def test_serves_on_asyncio(serve: Launcher, preload: list[str], by: str) -> None:
    """With EVENTLET_HUB=asyncio or --eventlet-hub asyncio, the hub is asyncio's and jobs wait together."""
    chosen = ["--eventlet-hub", "asyncio"] if by == "flag" else []
    variables = {} if by == "flag" else {"EVENTLET_HUB": "asyncio"}
    # From Python 3.12 on, the hub's own fork hooks complain that no loop runs; it works all the same.
    complains = bool(preload) and sys.version_info >= (3, 12)
    server = serve(
        "tells_eventlet_hub:app", "-k", "eventlet", *chosen, *preload, variables=variables, tracebacks=complains
    )

    assert server.get("/").text == "eventlet.hubs.asyncio"


def test_a_hub_that_is_unknown_is_named(serve: Launcher) -> None:
    """A mistake in --eventlet-hub ends the start with a line that names it."""
    with pytest.raises(AssertionError, match="no eventlet hub 'nosuch'"):
        serve("cooperates:app", "-k", "eventlet", "--eventlet-hub", "nosuch")

"""What a real client, curl, does with bodies and versions, on every worker class."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness import DEADLINE, Launcher, Server

APP = """\
import json


def app(environ, start_response):
    size = len(environ["wsgi.input"].read())
    facts = [environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"], size, environ.get("HTTP_EXPECT", "")]
    body = json.dumps(facts).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
SIZE = 300_000
HEAD_FACTS = '["HEAD", "HTTP/1.1", 0, ""]'

pytestmark = pytest.mark.program("curl")


@pytest.fixture(scope="module", params=["sync", "threaded", "gevent", "eventlet"])
def server(request: pytest.FixtureRequest, serve_for_module: Launcher) -> Server:
    """Serve an application that tells what reached it, by one worker of each class."""
    if request.param in ("gevent", "eventlet"):
        pytest.importorskip(request.param)
    return serve_for_module("facts:app", "--worker-class", request.param, files={"facts.py": APP}, path=[])


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """A file that is more than a socket takes at once."""
    file = tmp_path / "upload"
    file.write_bytes(b"x" * SIZE)
    return file


def curl(server: Server, *words: str) -> tuple[str, str]:
    """Run curl; return the body, and what it says of the exchange."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--verbose", *words, server.url],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_curl_uploads_when_told_to(server: Server, upload: Path) -> None:
    """A client that asks for leave gets it once, and then its body is read."""
    body, said = curl(server, "--header", "Expect: 100-continue", "--data-binary", f"@{upload}")

    assert body == f'["POST", "HTTP/1.1", {SIZE}, "100-continue"]'
    assert said.count("< HTTP/1.1 100 Continue") == 1
    assert "Done waiting for 100-continue" not in said


def test_curl_uploads_in_chunks(server: Server, upload: Path) -> None:
    """A body of unknown length comes whole."""
    body, said = curl(server, "--header", "Transfer-Encoding: chunked", "--data-binary", f"@{upload}")

    assert body.startswith(f'["POST", "HTTP/1.1", {SIZE}, ')
    assert "> Transfer-Encoding: chunked" in said


def test_curl_speaks_http10(server: Server) -> None:
    """The answer ends with the connection."""
    body, said = curl(server, "--http1.0")

    assert body == '["GET", "HTTP/1.0", 0, ""]'
    assert "left intact" not in said


def test_curl_keeps_the_connection(server: Server) -> None:
    """A second request goes the way of the first."""
    _, said = curl(server, server.url)

    assert said.count("Re-using existing connection") + said.count("Reusing existing connection") == 1


def test_curl_asks_for_the_head(server: Server) -> None:
    """The head has the length of a body that does not come, and curl waits for none."""
    head, said = curl(server, "--head")

    assert head.startswith("HTTP/1.1 200 OK")
    assert f"Content-Length: {len(HEAD_FACTS)}" in head
    assert "left intact" in said

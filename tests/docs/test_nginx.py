"""The nginx configuration that the documentation hands out, in front of the real command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest
from pages import ROOT

SITE = ROOT / "docs" / "howto" / "nginx.conf"
APP = """\
import json


def app(environ, start_response):
    names = ("HTTP_HOST", "HTTP_X_FORWARDED_FOR", "wsgi.url_scheme", "PATH_INFO", "REQUEST_METHOD")
    facts = {name: environ.get(name) for name in names}
    facts["length"] = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]
"""
AROUND = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def wait_for_line(text: str, stream: IO[str]) -> None:
    seen = []
    for line in stream:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"no line has {text!r}:\n{''.join(seen)}")


@pytest.fixture
def behind_nginx(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of nginx, which passes on to workerkit; both listen on Unix sockets in the test's folder."""
    site = SITE.read_text().replace("/run/app/", f"{tmp_path}/").replace("listen 80;", f"listen unix:{tmp_path}/front;")
    (tmp_path / "site.conf").write_text(site)
    (tmp_path / "nginx.conf").write_text(AROUND.format(folder=tmp_path))
    (tmp_path / "facts.py").write_text(APP)
    words = ["facts:app", "--bind", f"unix:{tmp_path}/web.sock", "--forwarded-allow-ips", "unix"]
    commands = {
        "Listening at:": [sys.executable, "-m", "workerkit", *words],
        "event method": ["nginx", "-p", str(tmp_path), "-c", f"{tmp_path}/nginx.conf", "-e", "stderr"],
    }
    running = []
    try:
        for ready, command in commands.items():
            process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ)
            running.append(process)
            assert process.stderr is not None
            wait_for_line(ready, process.stderr)
        transport = httpx.HTTPTransport(uds=f"{tmp_path}/front")
        with httpx.Client(base_url="http://shop.example", transport=transport) as client:
            yield client
    finally:
        for process in reversed(running):
            process.terminate()
            process.communicate(timeout=10)
    assert [process.returncode for process in running] == [0, 0]


@pytest.mark.program("nginx")
@pytest.mark.timeout(60)
def test_requests_come_through_nginx(behind_nginx: httpx.Client) -> None:
    """Host, scheme and body come through; a client cannot forge the address that the proxy vouches for."""
    answers = [
        behind_nginx.post(path, content=b"x" * 100_000, headers={"X-Forwarded-For": "6.6.6.6"}).json()
        for path in ("/cart", "/events/", "/cart")
    ]

    assert [answer["PATH_INFO"] for answer in answers] == ["/cart", "/events/", "/cart"]
    assert {answer["HTTP_HOST"] for answer in answers} == {"shop.example"}
    assert {answer["wsgi.url_scheme"] for answer in answers} == {"http"}
    assert {answer["length"] for answer in answers} == {100_000}
    assert all("6.6.6.6" not in answer["HTTP_X_FORWARDED_FOR"] for answer in answers)


@pytest.mark.program("nginx")
@pytest.mark.timeout(60)
def test_a_client_of_http_1_0_may_name_no_host(behind_nginx: httpx.Client, tmp_path: Path) -> None:
    """HTTP/1.1 requires a host of the proxy, HTTP/1.0 of nobody: the server's name stands in."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(f"{tmp_path}/front")
        client.sendall(b"GET /cart HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"HTTP_HOST": "_"' in answer

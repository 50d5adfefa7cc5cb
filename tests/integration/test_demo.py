"""The bundled demonstration, served by the real command."""

from __future__ import annotations

import httpx
import pytest
from harness import Launcher, Server


@pytest.fixture(scope="module")
def demo(serve_for_module: Launcher) -> Server:
    return serve_for_module("workerkit_contrib.demo", workers=2)


def test_page_needs_nothing_else(demo: Server) -> None:
    """The page is HTML that fetches no file of its own and nothing from another host."""
    page = demo.get("/")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_every_worker_tells_who_it_is(demo: Server) -> None:
    """Both workers answer with their own pid, and each counts its own requests."""

    def pid(client: httpx.Client) -> int:
        return int(client.get("/who").json()["pid"])

    seen = demo.visit_every_worker(pid)
    with demo.client() as client:
        first, second = client.get("/who").json(), client.get("/who").json()

    assert seen == set(demo.workers())
    assert first["pid"] == second["pid"]
    assert second["answered"] == first["answered"] + 1
    assert second["uptime"] >= first["uptime"] > 0


def test_slow_answer(demo: Server) -> None:
    """A slow request takes the time that was asked for and then tells who answered."""
    slow = demo.get("/slow?ms=50")

    assert slow.json()["pid"] in demo.workers()
    assert slow.elapsed.total_seconds() >= 0.05


def test_streamed_lines(demo: Server) -> None:
    """The streamed answer arrives in twelve lines, the first long before the last is made."""
    with demo.client() as client, client.stream("GET", "/stream") as response:
        lines = response.iter_lines()
        first = next(lines)
        others = list(lines)

    assert first.startswith(" 1 of 12, from worker ")
    assert len(others) == 11


def test_unknown_page(demo: Server) -> None:
    """Anything else is a 404."""
    assert demo.get("/favicon.ico").status_code == 404

"""The Django example: migrated by its manage.py, then driven by a real client through the real command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import django.contrib.admin
import httpx
import pytest
from harness import DEADLINE, EXAMPLES, Launcher, Server, environment

NOTES = EXAMPLES / "django_notes"
NAME, PASSWORD = "grace", "a nanosecond of wire"


@pytest.fixture(scope="module")
def notes(serve_for_module: Launcher) -> Server:
    variables = {
        "NOTES_DATABASE": str(serve_for_module.folder / "notes.sqlite3"),
        "DJANGO_SUPERUSER_USERNAME": NAME,
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "DJANGO_SUPERUSER_EMAIL": "grace@example.com",
    }
    for task in (["migrate", "--verbosity=0"], ["createsuperuser", "--noinput", "--verbosity=0"]):
        subprocess.run(
            [sys.executable, NOTES / "manage.py", *task],
            env=environment([NOTES], variables),
            timeout=DEADLINE,
            check=True,
        )
    return serve_for_module("notebook.wsgi", workers=2, path=[NOTES], variables=variables)


def form_token(page: httpx.Response) -> str:
    """Return the CSRF token of the page's form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found, page.text
    return found[1]


def log_in(client: httpx.Client, at: str) -> httpx.Response:
    credentials = {"username": NAME, "password": PASSWORD}
    token = form_token(client.get(at))
    return client.post(at, data={**credentials, "csrfmiddlewaretoken": token})


def answering_pid(client: httpx.Client) -> int:
    response = client.get("/worker").raise_for_status()
    assert response.text == response.headers["x-worker"]
    return int(response.text)


def test_every_worker_serves(notes: Server) -> None:
    """The pids that answer are the pids of the two workers."""
    seen = notes.visit_every_worker(answering_pid)

    assert seen == set(notes.workers())
    assert len(seen) == 2


def test_strangers_are_sent_to_the_login(notes: Server) -> None:
    """Without a session the notes redirect to the login page."""
    response = notes.get("/")

    assert response.status_code == 302
    assert response.headers["location"] == "/accounts/login/?next=/"


def test_notes_are_kept(notes: Server) -> None:
    """Somebody who logs in can write a note, finds it on any connection, changes it and deletes it."""
    with notes.client() as client:
        assert log_in(client, "/accounts/login/").status_code == 302
        token = form_token(client.get("/new/"))
        client.post("/new/", data={"title": "Bug", "text": "A moth.", "csrfmiddlewaretoken": token})
        listed = client.get("/").text
        found = re.search(r'href="(/\d+/)">Bug<', listed)
        assert found, listed
        form = {"title": "Bug", "text": "Relay 70.", "csrfmiddlewaretoken": token}
        changed = client.post(found[1], data=form)
        cookies = client.cookies
    with notes.client() as client:
        client.cookies = cookies
        assert "Relay 70." in client.get("/").text
        client.post(f"{found[1]}delete/", data={"csrfmiddlewaretoken": token})
        emptied = client.get("/").text

    assert changed.status_code == 302
    assert "No notes yet" in emptied


def test_form_without_token_is_refused(notes: Server) -> None:
    """A form without its CSRF token, or with somebody else's, is refused with 403 and changes nothing."""
    with notes.client() as stranger:
        foreign_token = form_token(stranger.get("/accounts/login/"))
    with notes.client() as client:
        log_in(client, "/accounts/login/")
        without = client.post("/new/", data={"title": "Forged"})
        foreign = client.post("/new/", data={"title": "Forged", "csrfmiddlewaretoken": foreign_token})
        listed = client.get("/").text

    assert (without.status_code, foreign.status_code) == (403, 403)
    assert "Forged" not in listed


def test_admin_login(notes: Server) -> None:
    """The admin's login page lets the administrator in, and its index lists the notes."""
    with notes.client() as client:
        page = client.get("/admin/login/")
        entered = log_in(client, "/admin/login/?next=/admin/")
        index = client.get("/admin/")

    assert page.status_code == 200
    assert entered.headers["location"] == "/admin/"
    assert "/admin/notes/note/" in index.text


def test_admin_with_wrong_password(notes: Server) -> None:
    """A wrong password gets the form again and no session."""
    with notes.client() as client:
        token = form_token(client.get("/admin/login/"))
        form = {"username": NAME, "password": "guess", "csrfmiddlewaretoken": token}
        refused = client.post("/admin/login/", data=form)

        assert refused.status_code == 200
        assert "sessionid" not in client.cookies


def test_style_sheets_are_whole(notes: Server) -> None:
    """The admin's style sheet arrives as the file that Django ships, with its length."""
    shipped = Path(django.contrib.admin.__file__).parent / "static/admin/css/base.css"
    sheet = notes.get("/static/admin/css/base.css")

    assert sheet.content == shipped.read_bytes()
    assert sheet.headers["content-length"] == str(len(sheet.content))


def test_page_that_does_not_exist(notes: Server) -> None:
    """An unknown page is Django's 404."""
    assert notes.get("/nowhere").status_code == 404


def test_unknown_host_is_refused(notes: Server) -> None:
    """Django sees the Host field as it was sent: a name that is not ours is refused with 400."""
    with notes.connect() as connection:
        connection.send(b"GET /accounts/login/ HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")

        assert connection.read_response().status == 400

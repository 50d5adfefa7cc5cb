"""The access log: atoms, escaping, files."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workerkit.errors import ConfigError
from workerkit.http.fields import Fields
from workerkit.telemetry.access import DEFAULT_FORMAT, AccessLog, LineFormat

SECONDS = 1.2345678


def answered(
    *,
    fields: tuple[tuple[bytes, bytes], ...] = ((b"Host", b"shop.example"), (b"User-Agent", b"test/1.0")),
    **facts: object,
) -> Any:
    head = {"method": "GET", "target": "/shop?page=2", "minor": 1, "fields": Fields(fields)}
    known = {
        "peer": ("192.0.2.7", 4711),
        "status": "200 OK",
        "response_fields": [("Content-Type", "text/html"), ("X-Cache", "miss")],
        "sent": 1234,
    }
    given = {**known, **head, **facts}
    return SimpleNamespace(
        stream=SimpleNamespace(peer=given["peer"]),
        head=SimpleNamespace(log_line=None, **{name: given[name] for name in head}),
        **{name: given[name] for name in known},
    )


def formatted(line_format: str, **facts: object) -> str:
    compiled = LineFormat(line_format)
    line = compiled.line(compiled.entry(answered(**facts), SECONDS))
    assert line.endswith("\n")
    return line[:-1]


def written(tmp_path: Path, line_format: str, **facts: object) -> str:
    path = tmp_path / "access.log"
    log = AccessLog(str(path), line_format)
    log.add(answered(**facts), SECONDS)
    log.flush()
    return path.read_text()


@pytest.mark.parametrize(
    ("atom", "value"),
    [
        ("%(h)s", "192.0.2.7"),
        ("%(l)s", "-"),
        ("%(u)s", "-"),
        ("%(r)s", "GET /shop?page=2 HTTP/1.1"),
        ("%(s)s", "200"),
        ("%(m)s", "GET"),
        ("%(U)s", "/shop"),
        ("%(q)s", "page=2"),
        ("%(H)s", "HTTP/1.1"),
        ("%(b)s", "1234"),
        ("%(B)s", "1234"),
        ("%(f)s", "-"),
        ("%(a)s", "test/1.0"),
        ("%(T)s", "1"),
        ("%(M)s", "1234"),
        ("%(D)s", "1234567"),
        ("%(L)s", "1.234568"),
        pytest.param("%(p)s", f"<{os.getpid()}>", id="%(p)s"),
        ("%({host}i)s", "shop.example"),
        ("%({Referer}i)s", "-"),
        ("%({x-cache}o)s", "miss"),
        ("%({x-none}o)s", "-"),
        ("%({NO_SUCH_VARIABLE}e)s", "-"),
    ],
)
def test_an_atom_says_what_gunicorns_says(atom: str, value: str) -> None:
    """Each atom has the meaning that gunicorn documents; what is missing is a dash."""
    assert formatted(atom) == value


def test_an_environment_variable_is_an_atom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line can tell which release served the request."""
    monkeypatch.setenv("RELEASE", "v7")

    assert formatted("%({RELEASE}e)s") == "v7"


def test_an_empty_body_is_a_dash_or_a_zero() -> None:
    """``b`` shows no body as a dash, ``B`` as a number."""
    assert formatted("%(b)s %(B)s", sent=0) == "- 0"


def test_the_time_is_in_the_common_log_format() -> None:
    """Day, month, year, time and offset in brackets, in UTC."""
    assert re.fullmatch(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]", formatted("%(t)s"))


def test_the_user_is_shown_and_the_password_is_not() -> None:
    """Basic credentials give a name; other schemes and broken ones give a dash."""
    basic = b"Basic " + base64.b64encode(b"ann:s3cret:x")

    assert formatted("%(u)s", fields=((b"Authorization", basic),)) == "ann"
    assert formatted("%(u)s", fields=((b"Authorization", b"Bearer abc"),)) == "-"
    assert formatted("%(u)s", fields=((b"Authorization", b"Basic ?"),)) == "-"


def test_the_default_format_is_the_combined_one() -> None:
    """Without a format of their own, people get the line that their tools know."""
    line = formatted(DEFAULT_FORMAT)

    assert re.fullmatch(r'192\.0\.2\.7 - - \[.*\] "GET /shop\?page=2 HTTP/1\.1" 200 1234 "-" "test/1\.0"', line)


def test_an_unknown_atom_is_refused() -> None:
    """A mistyped format is an error at start, which names the atom and the known ones."""
    with pytest.raises(ValueError, match=r"%\(zz\)s; known: a, b, B"):
        LineFormat("%(h)s %(zz)s")
    with pytest.raises(ValueError, match=r"%\({name}x\)s"):
        LineFormat("%({name}x)s")


def test_other_percent_signs_are_text() -> None:
    """A percent sign that begins no atom is shown as one."""
    assert formatted("100% %% of %(m)s") == "100% % of GET"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        (b"a\x1b[31mred", r"a\x1b[31mred"),
        (b'a" 200 "b', r"a\x22 200 \x22b"),
        (b"back\\slash", r"back\x5cslash"),
        (b"c1\x9b5m", r"c1\x9b5m"),
        (b"tab\there", r"tab\x09here"),
        (b"del\x7f", r"del\x7f"),
    ],
)
def test_bytes_of_a_request_cannot_forge_a_line(tmp_path: Path, hostile: bytes, shown: str) -> None:
    """What could end a line, close a quote or drive a terminal is written as an escape."""
    line = written(tmp_path, '"%(a)s"', fields=((b"User-Agent", hostile),))

    assert line == f'"{shown}"\n'


def test_escaping_leaves_the_format_alone(tmp_path: Path) -> None:
    """Quotes of the format itself stay quotes beside a value that was escaped."""
    line = written(tmp_path, '"%(m)s" "%(U)s"', target='/a"b')

    assert line == '"GET" "/a\\x22b"\n'


def test_a_line_tells_when_its_request_ended_not_when_it_is_written() -> None:
    """Lines may wait in memory for a long request that follows."""
    compiled = LineFormat("%(t)s %(s)s")
    template, (_, status) = compiled.entry(answered(), SECONDS)

    assert compiled.line((template, (1_700_000_000, status))) == "[14/Nov/2023:22:13:20 +0000] 200\n"


def test_equal_lines_are_all_written(tmp_path: Path) -> None:
    """Their text is made once, and written for each request."""
    path = tmp_path / "access.log"
    log = AccessLog(str(path), "%(r)s")
    for _ in range(3):
        log.add(answered(), SECONDS)
    log.flush()

    assert len(path.read_text().splitlines()) == 3


def test_lines_are_gathered_and_written_together(tmp_path: Path) -> None:
    """Nothing is written until somebody asks for it, and then everything is, in order."""
    path = tmp_path / "access.log"
    log = AccessLog(str(path), "%(U)s")
    for number in range(3):
        log.add(answered(target=f"/{number}"), SECONDS)
    assert path.read_text() == ""

    log.flush()
    log.flush()

    assert path.read_text() == "/0\n/1\n/2\n"


def test_a_busy_worker_writes_before_it_has_gathered_too_much(tmp_path: Path) -> None:
    """A worker that never waits does not keep its lines for ever."""
    path = tmp_path / "access.log"
    log = AccessLog(str(path), "%(U)s")
    for _ in range(100):
        log.add(answered(target="/" + "x" * 999), SECONDS)

    assert path.stat().st_size > 60_000


def test_a_full_disk_stops_nobody() -> None:
    """Lines that cannot be written are lost, and serving goes on."""
    log = AccessLog("/dev/full", "%(U)s")
    log.add(answered(), SECONDS)
    log.flush()
    log.add(answered(), SECONDS)
    log.flush()


def test_processes_write_beside_each_other(tmp_path: Path) -> None:
    """The file is opened to append, so two logs on one file overwrite nothing."""
    path = tmp_path / "access.log"
    first, second = AccessLog(str(path), "%(U)s"), AccessLog(str(path), "%(U)s")
    for log, target in ((first, "/1"), (second, "/2"), (first, "/3")):
        log.add(answered(target=target), SECONDS)
        log.flush()

    assert path.read_text() == "/1\n/2\n/3\n"


def test_a_moved_file_is_opened_anew(tmp_path: Path) -> None:
    """After rotation, what was gathered goes to the old file and what comes to the new one."""
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(str(path), "%(U)s")
    log.add(answered(target="/old"), SECONDS)
    path.rename(moved)

    log.reopen()
    log.add(answered(target="/new"), SECONDS)
    log.flush()

    assert (moved.read_text(), path.read_text()) == ("/old\n", "/new\n")


def test_what_a_thread_writes_while_the_file_is_opened_anew_is_in_one_of_them(tmp_path: Path) -> None:
    """Another thread's line meets an open file at every moment."""
    path = tmp_path / "access.log"
    log = AccessLog(str(path), "%(U)s")
    lines = 2000

    def write() -> None:
        for number in range(lines):
            log.add(answered(target=f"/{number}"), SECONDS)
            log.flush()

    writer = threading.Thread(target=write)
    writer.start()
    rotations = 0
    while writer.is_alive():
        path.rename(tmp_path / f"access.log.{rotations}")
        log.reopen()
        rotations += 1
    log.flush()

    told = sorted(int(line[1:]) for file in tmp_path.iterdir() for line in file.read_text().split())
    assert rotations
    assert told == list(range(lines))


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """The message names the file and the reason; while reopening, the old file goes on."""
    with pytest.raises(ConfigError, match=r"cannot open the log file .*: No such file"):
        AccessLog(str(tmp_path / "none" / "access.log"), "%(U)s")

    folder = tmp_path / "logs"
    folder.mkdir()
    log = AccessLog(str(folder / "access.log"), "%(U)s")
    folder.rename(tmp_path / "moved")
    with pytest.raises(ConfigError):
        log.reopen()
    log.add(answered(target="/on"), SECONDS)
    log.flush()
    assert (tmp_path / "moved" / "access.log").read_text() == "/on\n"


def test_a_dash_is_standard_output() -> None:
    """``-`` writes to standard output, which is neither reopened nor closed."""
    program = (
        "from test_access import AccessLog, answered\n"
        "log = AccessLog('-', '%(U)s'); log.add(answered(), 1.0); log.reopen(); log.add(answered(), 1.0); log.flush()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert done.stdout == "/shop\n/shop\n"

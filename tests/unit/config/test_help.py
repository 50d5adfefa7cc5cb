"""The page of --help and the reference page."""

from __future__ import annotations

from toy_options import CoreOptions, GeventOptions

from workerkit.config.help import page
from workerkit.config.reference import markdown
from workerkit.config.schema import Schema

SCHEMA = Schema.of(CoreOptions).extend(GeventOptions, section="gevent")


def test_the_page_has_one_short_entry_per_setting_under_its_heading():
    """Usage first, then by heading: flags, the first sentence, choices and default."""
    lines = page("Example: x", SCHEMA, 100).splitlines()

    assert lines[:8] == [
        "Example: x",
        "",
        "Worker processes:",
        "  MODULE:APP                    The application",
        "  -w, --workers N               How many workers there are (default: 1)",
        "  -k, --worker-class NAME       Their class (default: sync)",
        "  -b, --bind ADDRESS            Where to listen (default: 127.0.0.1:8000)",
        "  -t, --timeout SECONDS         How long (default: 30)",
    ]
    assert "  --limit SIZE                  How much (default: 64k)" in lines
    assert "  --log-level TEXT              [debug, info] (default: info)" in lines
    assert "  --[no-]sendfile               Use sendfile (default: yes)" in lines
    assert "  --preload                     Load first" in lines
    assert lines[-4:-2] == ["", "Gevent workers:"]


def test_long_entries_wrap_within_the_width():
    """No line is wider than the terminal, and long flags get a line of their own."""
    lines = page("Example: x", SCHEMA, 72).splitlines()

    assert max(map(len, lines)) <= 72


def test_settings_without_a_flag_are_left_out():
    """What only a file can say is in the reference, not in the page of flags."""
    assert "secure" not in page("x", SCHEMA, 100)


def test_the_reference_says_everything_about_a_setting():
    """Help, flags, key, variables, type and default of each setting, in Markdown."""
    text = markdown(SCHEMA)

    expected = """\
### `workers`

How many workers there are. More is not always better.

| | |
| --- | --- |
| Command line | `-w N`, `--workers N` |
| File key | `workers` |
| Variable | `WORKERKIT_WORKERS`, `WEB_CONCURRENCY` |
| Type | whole number |
| Default | `1` |
"""
    assert expected in text
    assert "| Table | `[gevent]` (or the top level) |" in text
    assert "| Command line | `-b ADDRESS`, `--bind ADDRESS`, may be given several times |" in text
    assert "| Type | text (may be unset) |\n| Default | not set |" in text
    assert text.startswith("## Worker processes\n")

"""Words become what was given, or one error that names the word."""

from __future__ import annotations

import pytest
from toy_options import CoreOptions

from workerkit.config.commandline import parse
from workerkit.config.schema import Schema
from workerkit.errors import UsageError

SCHEMA = Schema.of(CoreOptions)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("", {}),
        ("app:app", {"wsgi_app": "app:app"}),
        ("-w 4 app:app --preload", {"workers": "4", "wsgi_app": "app:app", "preload_app": True}),
        ("-w 4 --preload app:app", {"workers": "4", "wsgi_app": "app:app", "preload_app": True}),
        ("-w4", {"workers": "4"}),
        ("--workers=4", {"workers": "4"}),
        ("-b :1 app:app -b :2", {"bind": [":1", ":2"], "wsgi_app": "app:app"}),
        ("--no-sendfile", {"sendfile": False}),
        ("--sendfile", {"sendfile": True}),
        ("--no-preload", {"preload_app": False}),
        ("--pid -", {"pidfile": "-"}),
        ("-t -1", {"timeout": "-1"}),
        ("-w 1 -w 2", {"workers": "2"}),
    ],
)
def test_words_become_unchecked_values(words, given):
    """What was given is returned by setting, and nothing for what was not given."""
    assert parse(words.split(), SCHEMA) == given


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--worker-clas gevent app:app", "unrecognized argument --worker-clas; did you mean --worker-class?"),
        ("--worker-clas=gevent", "unrecognized argument --worker-clas; did you mean --worker-class?"),
        ("--no-sendfil", "unrecognized argument --no-sendfil; did you mean --no-sendfile?"),
        ("--zzz", "unrecognized argument --zzz; see workerkit --help"),
        ("--worker 4", "unrecognized argument --worker; did you mean --workers?"),
        ("app:app other:app", "unexpected argument 'other:app': one application is served, as MODULE:APP"),
        ("app:app -w", "argument -w/--workers: expected one argument"),
        ("--preload=yes", "argument --preload: ignored explicit argument 'yes'"),
    ],
)
def test_a_wrong_word_is_named(words, message):
    """A flag that is unknown (abbreviations are), lacks its value or has one too many raises UsageError."""
    with pytest.raises(UsageError) as caught:
        parse(words.split(), SCHEMA)

    assert (str(caught.value), caught.value.exit_code) == (message, 2)


def test_the_source_of_the_words_begins_the_message():
    """Words that did not come from the command line say where they came from."""
    with pytest.raises(UsageError, match=r"^SOME_VARIABLE: unrecognized argument --x; see"):
        parse(["--x"], SCHEMA, source="SOME_VARIABLE")


def test_unknown_flags_pass_when_not_strict():
    """Before the worker class is known, unknown flags are skipped and the known ones are found."""
    assert parse(["--depth", "3", "-k", "trio"], SCHEMA, strict=False)["worker_class"] == "trio"

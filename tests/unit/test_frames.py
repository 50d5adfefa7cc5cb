"""The user's own part of a traceback."""

from __future__ import annotations

import importlib
import json
import sys

import pytest

from workerkit.frames import summary, user_frames


@pytest.fixture
def importing(tmp_path, monkeypatch):
    """Return a function that writes a module, imports it and returns what that raises."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_and_import(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        try:
            importlib.import_module(name)
        except (ValueError, SyntaxError) as error:
            return error
        finally:
            sys.modules.pop(name, None)
        raise AssertionError("nothing was raised")

    return write_and_import


def places(frames):
    return [line.rpartition(", in ")[2] for line in frames.splitlines() if line.startswith("  File")]


def test_the_import_machinery_is_left_out(importing):
    """An exception in a module shows the frames of that module and not those of importlib."""
    error = importing("frames_a", "def start():\n    raise ValueError('no')\n\nstart()\n")

    frames = user_frames(error)

    assert places(frames) == ["write_and_import", "<module>", "start"]


def test_libraries_are_left_out_but_for_the_one_that_raised(importing):
    """Between the user's call and the place of the exception, the library's inner frames say nothing."""
    error = importing("frames_b", "import json\njson.loads('nonsense')\n")

    frames = user_frames(error)

    assert places(frames)[-2:] == ["<module>", "raw_decode"]
    assert json.loads.__name__ not in places(frames)


def test_a_syntax_error_shows_its_line(importing):
    """No frame leads into a file that does not parse, so its place and line are added."""
    error = importing("frames_c", "x = 1\ny = (\n")

    assert "frames_c.py" in user_frames(error)
    assert "y = (" in user_frames(error)


def test_no_part_of_the_users_no_frames():
    """An exception of the import machinery alone has no frames of the user's."""
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("frames_that_are_not_there")
    caught.value.__traceback__ = caught.value.__traceback__.tb_next

    assert user_frames(caught.value) == ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError"),
        (SyntaxError("bad", ("f.py", 1, 1, "x", 1, 2)), "SyntaxError: bad"),
    ],
)
def test_the_summary_is_the_last_line_of_a_traceback(error, text):
    """The type's name and the message; no place, which the frames have."""
    assert summary(error) == text

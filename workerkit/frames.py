"""The part of a traceback that belongs to the user: what an error of their own code is shown with.

Whoever runs the user's code (a configuration file, the application, a plugin's module) shows these frames
and one line with the cause. The import machinery, workerkit itself and the libraries in between say nothing
about the mistake.
"""

from __future__ import annotations

import os

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_IMPORTLIB = os.path.join(_STANDARD_LIBRARY, "importlib") + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def user_frames(error: BaseException) -> str:
    """Return the user's own frames of ``error`` as Python prints them; empty if there are none.

    The innermost frame is kept even when it is a library's, because it says where the exception was raised. A
    ``SyntaxError`` has no frame in the file that is wrong, so its place and its line are added.
    """
    import traceback  # noqa: PLC0415  only a failing start pays for it

    foreign = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    kept = [frame for frame in foreign[:-1] if not _is_library(frame.filename)] + foreign[-1:]
    lines = traceback.format_list(kept)
    if isinstance(error, SyntaxError):
        lines += traceback.format_exception_only(error)[:-1]
    return "".join(lines)


def summary(error: BaseException) -> str:
    """Return ``error`` as a traceback's last line has it: ``NameError: name 'x' is not defined``."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    name = type(error).__qualname__
    return f"{name}: {text}" if text else name


def _is_machinery(filename: str) -> bool:
    return filename.startswith(("<frozen ", _OURS, _IMPORTLIB))


def _is_library(filename: str) -> bool:
    return any(part in filename for part in _INSTALLED) or filename.startswith(_STANDARD_LIBRARY)

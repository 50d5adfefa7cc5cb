"""What is said on the control socket: a line of JSON asks, a line of JSON answers, and the connection ends."""

from __future__ import annotations

import json
from collections.abc import Mapping

LONGEST_REQUEST = 64 * 1024
"""Bytes."""

Message = Mapping[str, object]


def encode(message: Message) -> bytes:
    """Return a message as a line."""
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message that a line is.

    Raises:
        ValueError: It is no JSON object.
    """
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("no object")
    return message


def succeeded(**facts: object) -> Message:
    """Return the answer that it was done."""
    return {"ok": True, **facts}


def failed(reason: str) -> Message:
    """Return the answer that it was not done, and why."""
    return {"ok": False, "error": reason}

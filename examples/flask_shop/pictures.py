"""Product pictures: files beside the database, named by their product."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from flask import current_app
from werkzeug.datastructures import FileStorage

# What a file is, is read from its first bytes: the name and the type that a browser claims prove nothing.
SIGNATURES = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif"}


class NotAPictureError(Exception):
    """The file is none of the kinds that browsers show."""


def folder() -> Path:
    """Return the folder of the pictures, made on first use."""
    folder = Path(current_app.config["DATABASE"]).with_name("pictures")
    folder.mkdir(exist_ok=True)
    return folder


def save(upload: FileStorage, product_id: int) -> str:
    """Store an uploaded picture and return its file name."""
    start = upload.stream.read(8)
    upload.stream.seek(0)
    suffix = next((suffix for magic, suffix in SIGNATURES.items() if start.startswith(magic)), None)
    if suffix is None:
        raise NotAPictureError("Please choose a PNG, JPEG or GIF picture.")
    name = f"{product_id}{suffix}"
    # Renamed when it is complete: another worker may be serving the old picture right now.
    with tempfile.NamedTemporaryFile(dir=folder(), delete=False) as file:
        upload.save(file)
    os.replace(file.name, folder() / name)
    return name

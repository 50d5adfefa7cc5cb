"""Offers as its application what is none."""

from __future__ import annotations

app = {"/": "hello"}

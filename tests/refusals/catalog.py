"""All cases, under the titles that the table and the page show."""

from __future__ import annotations

from tests.refusals import (
    advisories,
    application,
    bodies,
    chunks,
    fields,
    framing,
    hosts,
    limits,
    request_line,
    spoofing,
)
from tests.refusals.case import Case

GROUPS: dict[str, tuple[Case, ...]] = {
    "Request line": request_line.CASES,
    "Header fields": fields.CASES,
    "Host": hosts.CASES,
    "Framing of the body": framing.CASES,
    "Chunked bodies": chunks.CASES,
    "Limits": limits.CASES,
    "Bodies and their ends": bodies.CASES,
    "Spoofed header fields": spoofing.CASES,
    "Applications that break the rules": application.CASES,
    "Advisories of other servers": advisories.CASES,
}

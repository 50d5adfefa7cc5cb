"""The grammar of RFC 9110, 9112 and 3986 that more than one module reads, as pieces of bytes patterns.

Quantifiers are possessive (``*+``): no byte can be matched in two ways, so nothing is ever tried twice and every
match is linear in its input.
"""

from __future__ import annotations

# token = 1*tchar (RFC 9110, 5.6.2)
TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = TCHAR + rb"++"

# pct-encoded = "%" HEXDIG HEXDIG (RFC 3986, 2.1)
ENCODED = rb"%[0-9A-Fa-f]{2}"

# RFC 3986 allows fewer characters than these two, but browsers send the others ("|", "^", "{", '"') unencoded, and
# all servers take them. What must not pass: controls, spaces, bytes above 0x7e, "#", and "%" that encodes nothing.
_PATH_CHARACTERS = rb'[!"$&->@-~]*+'
_QUERY_CHARACTERS = rb'[!"$&-~]*+'
PATH = rb"/" + _PATH_CHARACTERS + rb"(?:" + ENCODED + _PATH_CHARACTERS + rb")*+"
QUERY = _QUERY_CHARACTERS + rb"(?:" + ENCODED + _QUERY_CHARACTERS + rb")*+"

# uri-host [ ":" port ] (RFC 9110, 7.2). reg-name may hold sub-delims; the comma is left out because a proxy that
# joined two Host fields leaves one behind, and a host of that name does not exist.
_REG_NAME_CHARACTERS = rb"[A-Za-z0-9\-._~!$&'()*+;=]"
_REG_NAME = rb"(?:" + _REG_NAME_CHARACTERS + rb"++|" + ENCODED + rb")++"
# Which of these are addresses is more than a pattern should say: see ``host``.
_IP_LITERAL = rb"\[[0-9A-Fa-f:.]++\]"
HOST = rb"(?:" + _IP_LITERAL + rb"|" + _REG_NAME + rb")"
# A port is a number of 16 bits; in five digits not every number is one.
_PORT = rb"(?:[0-9]{0,4}|[0-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HOST_PORT = HOST + rb"(?::" + _PORT + rb")?"

# What a field value, a chunk extension or a trailer may not hold: controls other than HTAB (RFC 9110, 5.5).
FIELD_CHARACTER = rb"[\t -~\x80-\xff]"

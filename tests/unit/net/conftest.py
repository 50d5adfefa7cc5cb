"""Certificates of the tests in this folder."""

from __future__ import annotations

import ssl

import pytest
import trustme


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def leaf(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost")


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Be a client that trusts them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context

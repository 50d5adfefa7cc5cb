"""Certificate files in the arbiter, and what workers get of them."""

from __future__ import annotations

import fcntl
import os
import ssl
from pathlib import Path

import pytest
import trustme

from workerkit.errors import ConfigError
from workerkit.net.certificates import CertificateFiles, Certificates, PoolCertificates
from workerkit.net.host_names import host_names
from workerkit.net.tls_options import TlsOptions


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TlsOptions(keyfile=("a.key",)), "keyfile is about TLS, which needs a certificate"),
        (TlsOptions(cert_reqs=2), "cert_reqs is about TLS"),
        (TlsOptions(certfile=("a.pem", "b.pem"), keyfile=("a.key",)), "there are 2 certfile and 1 keyfile"),
        (TlsOptions(certfile=("a.pem",), cert_reqs=1), "say in ca_certs whose are accepted"),
    ],
)
def test_options_that_contradict_each_other(options: TlsOptions, message: str) -> None:
    """They are refused, and the message says what is missing."""
    with pytest.raises(ConfigError, match=message):
        options.checked()


def test_no_certificate_is_no_tls() -> None:
    """Without a certfile nothing is TLS."""
    assert TlsOptions().checked() is None


def test_what_is_sealed_comes_out_again() -> None:
    """Certificates survive the memory that they are handed over in, which nobody can change."""
    certificates = Certificates(("a.pem",), ("käse\nKEY",), "authorities")
    fd = certificates.seal()
    try:
        assert Certificates.unseal(fd) == certificates
        assert Certificates.unseal(fd) == certificates
        assert not os.get_inheritable(fd)
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
        with pytest.raises(PermissionError):
            os.write(fd, b"x")
    finally:
        os.close(fd)


def test_keys_join_their_certificates(tmp_path: Path) -> None:
    """A pair is one text, whether its key is in a file of its own or not."""
    options = TlsOptions(
        certfile=(written(tmp_path / "a.pem", "A"), written(tmp_path / "b.pem", "B")),
        keyfile=(written(tmp_path / "a.key", "KEY A"), written(tmp_path / "b.key", "KEY B")),
        ca_certs=written(tmp_path / "ca.pem", "CA"),
    )

    assert CertificateFiles(options).read() == (options.certfile, ("A\nKEY A", "B\nKEY B"), "CA")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The message names the setting and the file."""
    missing = str(tmp_path / "no.key")
    options = TlsOptions(certfile=(written(tmp_path / "a.pem", "A"),), keyfile=(missing,))
    with pytest.raises(ConfigError, match=f"keyfile: cannot read {missing}: No such file"):
        CertificateFiles(options).read()


def test_changes_are_seen_once_they_have_settled(tmp_path: Path) -> None:
    """A change counts when two looks have found the same, until it has been read."""
    path = tmp_path / "a.pem"
    files = CertificateFiles(TlsOptions(certfile=(written(path, "A"),)))
    files.read()
    assert not files.have_changed()
    path.write_text("half")
    assert not files.have_changed()
    path.write_text("the whole")
    assert not files.have_changed()
    assert files.have_changed()
    assert files.read().pairs == ("the whole",)

    assert not files.have_changed()


def test_a_file_that_is_replaced(tmp_path: Path) -> None:
    """Another file under the same name is a change, as certbot's links make it; a missing one is not yet."""
    path = tmp_path / "a.pem"
    written(tmp_path / "one.pem", "one")
    path.symlink_to("one.pem")
    pool = PoolCertificates(TlsOptions(certfile=(str(path),)))
    pool.read()
    path.unlink()
    pool.look()
    written(tmp_path / "two.pem", "two")
    path.symlink_to("two.pem")
    pool.look()
    assert pool.candidate is None
    pool.look()
    assert pool.candidate is not None
    assert Certificates.unseal(pool.candidate).pairs == ("two",)
    assert pool.source.certificates().pairs == ("one",)
    pool.accept()

    assert pool.source.certificates().pairs == ("two",)
    assert (pool.candidate, pool.renewals) == (None, 1)


def test_a_refused_candidate_is_not_tried_again(tmp_path: Path) -> None:
    """What was refused is forgotten, until the files change once more."""
    path = tmp_path / "a.pem"
    pool = PoolCertificates(TlsOptions(certfile=(written(path, "A"),)))
    pool.read()
    path.write_text("broken")
    pool.look()
    pool.look()
    assert pool.candidate is not None
    pool.refuse()
    pool.look()

    assert pool.candidate is None
    assert pool.source.certificates().pairs == ("A",)


def test_a_reload_reads_anew_and_leaves_the_old_alone(tmp_path: Path) -> None:
    """The old release keeps what it was made with, in case the new one does not come to serve."""
    path = tmp_path / "a.pem"
    old = PoolCertificates(TlsOptions(certfile=(written(path, "A"),)))
    old.read()
    path.write_text("B")
    new = old.read_again()

    assert old.source.certificates().pairs == ("A",)
    assert new.source.certificates().pairs == ("B",)


def test_the_names_in_a_certificate(authority: trustme.CA) -> None:
    """Host names are found among other names, whatever the certificate's size."""
    names = ["Example.org", "*.example.org", *(f"host-{number}.example.net" for number in range(50))]
    leaf = authority.issue_cert(*names, "192.0.2.1", "me@example.org", common_name="somebody")
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())

    assert host_names(der) == [name.lower() for name in names]


def test_a_certificate_without_names() -> None:
    """An authority's own has none."""
    der = ssl.PEM_cert_to_DER_cert(trustme.CA().cert_pem.bytes().decode())

    assert host_names(der) == []



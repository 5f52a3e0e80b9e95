"""The signing identity of an installation: created once, and readable only by its owner."""

from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.speech.provenance.certificates import (
    OWN_FILE,
    ROOT_FILE,
    CertificateError,
    Identity,
    chains_in,
    make_identity,
    operators_identity,
    own_identity,
    root_of,
)

if TYPE_CHECKING:
    from pathlib import Path

START = """
import sys
from pathlib import Path
from apps.speech.provenance.certificates import own_identity
sys.stdout.buffer.write(own_identity(Path(sys.argv[1])).chain)
"""


def test_concurrent_processes_get_the_same_identity(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "marks"
    command = [sys.executable, "-c", START, str(folder)]
    with ThreadPoolExecutor(6) as starts:
        chains: set[object] = set(starts.map(subprocess.check_output, [command] * 6))
    assert chains == {own_identity(folder).chain}
    assert sorted(path.name for path in folder.iterdir()) == [ROOT_FILE, OWN_FILE]


def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    folder = tmp_path / "marks"
    own_identity(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / OWN_FILE).stat().st_mode) == 0o600
    assert b"PRIVATE KEY" not in (folder / ROOT_FILE).read_bytes()


def test_the_identity_does_not_change(tmp_path: Path) -> None:
    assert own_identity(tmp_path) == own_identity(tmp_path)
    assert root_of(own_identity(tmp_path).chain) == (tmp_path / ROOT_FILE).read_bytes()


def test_the_operators_files_are_used(tmp_path: Path) -> None:
    identity = make_identity()
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.write_bytes(identity.chain)
    key.write_bytes(identity.key)
    assert operators_identity(str(certificate), str(key)) == identity
    assert chains_in(tmp_path) == [identity.chain]


def certificates_of(identity: Identity) -> list[bytes]:
    chain = x509.load_pem_x509_certificates(identity.chain)
    return [certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain]


def key_for(curve: ec.EllipticCurve) -> bytes:
    return ec.generate_private_key(curve).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


OWN, OTHER = make_identity(), make_identity()
LEAF, ROOT = certificates_of(OWN)


@pytest.mark.parametrize(
    ("key", "chain", "told"),
    [
        (b"", OWN.chain, "private key in PEM"),
        (key_for(ec.SECP384R1()), OWN.chain, "P-256"),
        (OTHER.key, OWN.chain, "must belong to the key"),
        (OWN.key, ROOT + LEAF, "must belong to the key"),
        (OWN.key, LEAF + certificates_of(OTHER)[1], "issued by the one that follows"),
        (OWN.key, b"", "must be in PEM"),
    ],
)
def test_invalid_keys_and_chains_are_refused(key: bytes, chain: bytes, told: str) -> None:
    with pytest.raises(CertificateError, match=told):
        Identity.from_pem(key, chain)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CertificateError, match="cannot be written"):
        own_identity(tmp_path / "file")
    with pytest.raises(CertificateError, match="cannot be read"):
        operators_identity(str(tmp_path / "nothing"), str(tmp_path / "file"))

"""The key of an installation for signing audio, and its certificate chain.

The requirements for certificates are in C2PA 2.2, 14.5.1. Without a timestamp service, a signature is valid only as
long as its certificate. So our certificates are valid for decades, because files are kept for long.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apps.speech import durable_files
from apps.speech.provenance.marks import MarkError

OWN_FILE = "signer.pem"
ROOT_FILE = "root.pem"
ORGANIZATION = "VoiceClone"
VALID_FOR = timedelta(days=30 * 365)
CLOCK_TOLERANCE = timedelta(days=1)
PEM = serialization.Encoding.PEM
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(MarkError):
    """A key or a certificate that cannot be used. The message tells the operator the requirement."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A P-256 private key and its certificate chain as PEM, from the leaf to the root."""

    key: bytes
    chain: bytes

    @classmethod
    def from_pem(cls, key: bytes, chain: bytes) -> Self:
        """Check that key and chain can be read and belong together. Raises CertificateError."""
        certificates = _certificates(chain)
        try:
            private_key = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise CertificateError("The key must be an unencrypted private key in PEM.") from None
        if not isinstance(private_key, ec.EllipticCurvePrivateKey) or not isinstance(private_key.curve, ec.SECP256R1):
            raise CertificateError("The key must be one for the curve P-256 (prime256v1).")
        if private_key.public_key() != certificates[0].public_key():
            raise CertificateError("The first certificate must belong to the key.")
        for certificate, issuer in itertools.pairwise(certificates):
            try:
                certificate.verify_directly_issued_by(issuer)
            except (ValueError, TypeError, InvalidSignature) as error:
                raise CertificateError("Each certificate must be issued by the one that follows it.") from error
        _check_leaf(certificates[0])
        pem_key = private_key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return cls(pem_key, b"".join(certificate.public_bytes(PEM) for certificate in certificates))


@dataclass(frozen=True, slots=True)
class MarkerConfig:
    """`certificate` and `key` are the operator's own, both as PEM or the paths of PEM files, or both empty.

    `folder` contains the certificate that the installation makes if it got none, and certificates used before.
    """

    folder: Path
    certificate: str
    key: str = field(repr=False)


def root_of(chain: bytes) -> bytes:
    """Return the last certificate of `chain` as PEM. Raises CertificateError."""
    return _certificates(chain)[-1].public_bytes(PEM)


def public_key_of(chain: bytes) -> bytes:
    """Return the public key of the first certificate, in DER. Raises CertificateError."""
    key = _certificates(chain)[0].public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def serial_number_of(chain: bytes) -> str:
    """Return the serial number of the first certificate in decimal, as `c2pa` does. Raises CertificateError."""
    return str(_certificates(chain)[0].serial_number)


def _certificates(chain: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise CertificateError("The certificates must be in PEM, from the key's certificate to the root.") from None


def _check_leaf(leaf: x509.Certificate) -> None:
    if leaf.subject == leaf.issuer:
        raise CertificateError("A self-signed certificate is not trusted. Create a root that signs a leaf.")
    if leaf.not_valid_after_utc < datetime.now(UTC):
        raise CertificateError(f"The certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d}.")
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise CertificateError("The certificate needs a key usage and an extended key usage.") from None
    if not usage.digital_signature or not list(purposes):
        raise CertificateError("The certificate must allow digital signatures.")


def own_identity(folder: Path) -> Identity:
    """Return the identity that the installation creates itself. Creates it on the first start.

    Key and certificates are in one file that only its owner can read. The file is created atomically, so that several
    processes that start concurrently get the same identity. Raises CertificateError.
    """
    path = folder / OWN_FILE
    try:
        if not path.exists():
            durable_files.make_folder(folder, mode=0o700)
            created = make_identity()
            _create_file(path, created.key + created.chain)
        identity = _identity_in(path.read_bytes())
        root = folder / ROOT_FILE
        if not root.exists():
            _create_file(root, root_of(identity.chain))
    except OSError as error:
        raise CertificateError(f"{folder} cannot be written or read: {error.strerror}.") from error
    return identity


def _identity_in(pem: bytes) -> Identity:
    key, begin, chain = pem.partition(b"-----BEGIN CERTIFICATE-----")
    return Identity.from_pem(key, begin + chain)


def _create_file(path: Path, data: bytes) -> None:
    """Create a file atomically. If it already exists, keep the existing file."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # Mode 0600.
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
        durable_files.flush(path)
    finally:
        Path(name).unlink()


def operators_identity(certificate: str, key: str) -> Identity:
    """Return the identity that the operator gave, as PEM or the paths of PEM files. Raises CertificateError."""
    try:
        return Identity.from_pem(_pem(key), _pem(certificate))
    except OSError as error:
        raise CertificateError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _pem(text: str) -> bytes:
    # In a line of `.env`, and in some secret stores, the lines of a PEM are separated by a backslash and an n.
    return text.replace("\\n", "\n").encode() if text.startswith("-----BEGIN") else Path(text).read_bytes()


def existing_identity(config: MarkerConfig) -> Identity | None:
    """Return the identity that signs, or None if the installation has not made it yet. Raises CertificateError."""
    if config.certificate:
        return operators_identity(config.certificate, config.key)
    return own_identity(config.folder) if (config.folder / OWN_FILE).exists() else None


def chains_in(folder: Path) -> list[bytes]:
    """Return the chain in each PEM file of the folder: the current one of the installation, and earlier ones."""
    chains = [CERTIFICATE.findall(path.read_bytes()) for path in sorted(folder.glob("*.pem")) if path.name != ROOT_FILE]
    return [b"\n".join(certificates) + b"\n" for certificates in chains if certificates]


def make_identity() -> Identity:
    """Create a root and the only leaf that it signs. The key of the root is discarded."""
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = secrets.token_hex(4)
    root_name, leaf_name = _name(f"Root {name}"), _name(f"Installation {name}")
    root = (
        _certificate(root_name, root_name, root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        _certificate(leaf_name, root_name, leaf_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    key = leaf_key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Identity(key, leaf.public_bytes(PEM) + root.public_bytes(PEM))


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

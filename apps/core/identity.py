"""What makes several processes one site: SECRET_KEY, the key that signs speech, and the storage of recordings.

The first process that starts leaves a salted hash of each in the database. Every later one compares its own, and does
not start with another: it would end sessions, sign speech that `/verify` does not know, or miss recordings. The storage
is known by a file in it. docs/decisions/0038-several-processes.md says why.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.core.models import SigningCertificate, SiteIdentity
from apps.speech import configs
from apps.speech.provenance import certificates
from apps.speech.provenance.certificates import CertificateError

logger = logging.getLogger(__name__)

STORAGE_FILE = "site-identity"


class State(StrEnum):
    AGREES = "agrees"
    FORMER = "agrees with a former value"
    DIFFERS = "differs"
    UNRECORDED = "not recorded yet"
    UNKNOWN = "cannot be read"


@dataclass(frozen=True)
class Part:
    """A part of the identity. `read` returns this process's own value, or None if it has none; `create` makes one.

    `former` are values that were this process's own and that it still knows. `refusal` tells the operator why a process
    with another value does not start, and what to do.
    """

    name: str
    refusal: str
    read: Callable[[], bytes | None]
    create: Callable[[], bytes]
    former: Callable[[], Iterable[bytes]] = tuple

    def state(self) -> State:
        row = SiteIdentity.objects.filter(name=self.name).first()
        try:
            value = self.read()
        except (OSError, CertificateError) as error:
            logger.warning("The identity of this process cannot be read: %s", self.name, extra={"reason": str(error)})
            return State.UNKNOWN
        if row is None:
            return State.UNRECORDED
        if value is not None and _matches(row.fingerprint, value):
            return State.AGREES
        return State.FORMER if any(_matches(row.fingerprint, each) for each in self.former()) else State.DIFFERS

    def record(self) -> None:
        """Store the fingerprint of this process's value, unless another process was faster.

        Others that start at the same time wait for the row until the value is made, and then find it.
        """
        with transaction.atomic():
            row, is_new = SiteIdentity.objects.get_or_create(name=self.name, defaults={"fingerprint": ""})
            if is_new:
                row.fingerprint = _fingerprint(self._value())
                row.save()

    def accept(self) -> None:
        """Make this process's value the one of the site. Raises OSError or CertificateError."""
        values = {"fingerprint": _fingerprint(self._value()), "since": timezone.now()}
        SiteIdentity.objects.update_or_create(name=self.name, defaults=values)

    def _value(self) -> bytes:
        return self.read() or self.create()


def disagreement() -> str:
    """Return why this process must not start, in a sentence for the operator, or "". Records what is not recorded yet.

    What cannot be read at the moment, such as a storage that does not answer, is no disagreement.
    """
    try:
        for part in PARTS.values():
            if _settled(part) is State.DIFFERS:
                return part.refusal
        remember_certificates()
    except (DatabaseError, OSError, CertificateError) as error:
        logger.warning("The identity of this process could not be compared", extra={"reason": type(error).__name__})
    return ""


def _settled(part: Part) -> State:
    state = part.state()
    if state is State.UNRECORDED:
        part.record()
        return part.state()  # Another process may have been faster.
    if state is State.FORMER:
        part.accept()
    return state


def remember_certificates() -> None:
    """Store the certificates that this process knows, so that `/verify` knows them in every process."""
    config = configs.marker_config()
    identity = certificates.existing_identity(config)
    chains = [*([identity.chain] if identity else []), *certificates.chains_in(config.folder)]
    for chain in chains:
        SigningCertificate.objects.get_or_create(
            serial_number=certificates.serial_number_of(chain), defaults={"chain": chain.decode()}
        )


def known_chains() -> list[bytes]:
    """Return the chains of all certificates with which any process of the site has signed."""
    try:
        return [chain.encode() for chain in SigningCertificate.objects.values_list("chain", flat=True)]
    except DatabaseError:
        return []  # This process's own are still known.


def _fingerprint(value: bytes, salt: bytes | None = None) -> str:
    salt = salt or secrets.token_bytes(16)
    return f"{salt.hex()}${hashlib.scrypt(value, salt=salt, n=2**13, r=8, p=1).hex()}"


def _matches(fingerprint: str, value: bytes) -> bool:
    salt = bytes.fromhex(fingerprint.partition("$")[0])
    return hmac.compare_digest(fingerprint, _fingerprint(value, salt))


def _secret() -> bytes:
    return str(settings.SECRET_KEY).encode()


def _former_secrets() -> list[bytes]:
    return [str(key).encode() for key in settings.SECRET_KEY_FALLBACKS]


def _marks() -> bytes | None:
    identity = certificates.existing_identity(configs.marker_config())
    return certificates.public_key_of(identity.chain) if identity else None


def _make_marks() -> bytes:
    return certificates.public_key_of(certificates.own_identity(settings.MARKS_DIR).chain)


def _storage() -> bytes | None:
    if not default_storage.exists(STORAGE_FILE):
        return None
    with default_storage.open(STORAGE_FILE) as file:
        return bytes(file.read())


def _mark_storage() -> bytes:
    value = secrets.token_hex(16).encode()
    default_storage.save(STORAGE_FILE, ContentFile(value))
    return value


PARTS = {
    part.name: part
    for part in (
        Part(
            "secret",
            "SECRET_KEY is not the one of this site: sessions, links and second factors would not work here. Set the "
            "site's SECRET_KEY. If you changed it on purpose, keep the old one in SECRET_KEY_FALLBACKS, or run: "
            "manage.py identity --accept secret",
            _secret,
            _secret,
            _former_secrets,
        ),
        Part(
            "marks",
            "The key that signs speech is missing here, or not the one of this site: /verify would not know what this "
            "process signs. Give every machine the same MARKS_KEY and MARKS_CERTIFICATE, or the same files in "
            "MARKS_DIR. If you changed the key on purpose, run: manage.py identity --accept marks",
            _marks,
            _make_marks,
        ),
        Part(
            "storage",
            "The storage of recordings is not the one of this site, or it is empty: recordings would be missing. Let "
            "MEDIA_ROOT (or MEDIA_STORAGE) name the same storage on every machine. If you moved to another one on "
            "purpose, run: manage.py identity --accept storage",
            _storage,
            _mark_storage,
        ),
    )
}

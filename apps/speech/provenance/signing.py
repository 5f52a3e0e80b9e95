"""Signs synthetic speech with C2PA manifests, which cannot be forged and detect changes of the audio."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import c2pa

from apps.speech.audio.flac import to_flac
from apps.speech.audio.mp3 import to_mp3
from apps.speech.base import Recording
from apps.speech.provenance import certificates
from apps.speech.provenance.certificates import Identity, MarkerConfig
from apps.speech.provenance.marks import NOTE, SOFTWARE, SYNTHETIC, MarkError, Origin, id3_tag, tags

SETTINGS = {
    # The tests verify signatures. Verification after signing would take a third of the time.
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}


@dataclass(frozen=True, slots=True)
class Marker:
    """Signs for one installation. `roots` (PEM) and `serial_numbers` are of its current and earlier certificates."""

    identity: Identity
    roots: bytes
    serial_numbers: frozenset[str]

    def recognising(self, chains: Iterable[bytes]) -> Self:
        """Return this marker, but with the certificates of `chains` among its own. Raises CertificateError."""
        new = {certificates.serial_number_of(chain): chain for chain in chains}
        roots = [certificates.root_of(chain) for number, chain in new.items() if number not in self.serial_numbers]
        return replace(self, roots=self.roots + b"".join(roots), serial_numbers=self.serial_numbers | new.keys())

    def sign(self, data: bytes, media_type: str, origin: Origin) -> bytes:
        """Return the whole file `data` (FLAC, MP3, WAV or M4A) with a manifest. The audio does not change.

        Takes 10 ms for 34 s of FLAC, mostly without the GIL. Raises MarkError.
        """
        signed = io.BytesIO()
        info = c2pa.C2paSignerInfo(
            b"es256", self.identity.chain, self.identity.key, None
        )  # None means no timestamp service.
        try:
            with (
                c2pa.Context.from_dict(SETTINGS) as context,
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder.from_json(json.dumps(_manifest(origin)), context) as builder,
            ):
                builder.sign(signer, media_type, io.BytesIO(data), signed)
        except c2pa.C2paError as error:
            raise MarkError(str(error)) from error
        return signed.getvalue()

    def to_flac(self, recording: Recording, origin: Origin) -> bytes:
        """Return `recording` as FLAC with tags, and a manifest in an ID3 tag before it. Raises MarkError."""
        return self.sign(to_flac(recording, tags=tags(origin)), "audio/flac", origin)

    def to_mp3(self, recording: Recording, origin: Origin) -> bytes:
        """Return `recording` as MP3 with tags and manifest. Raises MarkError."""
        return self.sign(id3_tag(origin) + to_mp3(recording), "audio/mpeg", origin)


def create_marker(config: MarkerConfig) -> Marker:
    """Return the marker that signs with the operator's certificate, or with one that it makes on the first start.

    Raises CertificateError.
    """
    identity = certificates.existing_identity(config) or certificates.own_identity(config.folder)
    chains = {identity.chain, *certificates.chains_in(config.folder)}
    return Marker(
        identity,
        roots=b"".join(sorted(map(certificates.root_of, chains))),
        serial_numbers=frozenset(map(certificates.serial_number_of, chains)),
    )


def _manifest(origin: Origin) -> dict[str, object]:
    """Source: C2PA 2.2, 18.14 (actions)."""
    action: dict[str, object] = {
        "action": "c2pa.created",
        "when": origin.time,
        "digitalSourceType": SYNTHETIC,
        "softwareAgent": {"name": origin.engine},
        "description": NOTE,
    }
    if origin.turn:
        action["parameters"] = {"turn": origin.turn}
    return {
        "claim_generator_info": [{"name": SOFTWARE}],
        "title": NOTE,
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }

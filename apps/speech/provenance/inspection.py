"""Reads the statements of an audio file about its origin. The file is untrusted, and a native library reads it.

So a separate process reads it, confined as the decoders are, with limits of time and memory: it can open neither files
nor sockets, and a crash affects only one answer. This module is also the program of that process, and imports neither
FFmpeg nor Django.
"""

from __future__ import annotations

import io
import json
import re
import resource
import subprocess
import sys
import wave
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import apps
from apps.speech.audio.id3 import id3_size
from apps.speech.confinement import confine
from apps.speech.provenance.marks import AI_KEY, DATE_KEY, ENGINE_KEY, SOFTWARE, SOFTWARE_KEY, read_tags

MAX_MEMORY_BYTES = 1_000_000_000
MAX_CPU_SECONDS = 10
MAX_SECONDS = 20
MAX_TEXT = 100  # Characters of a text from the file that are shown.
PROJECT_DIR = Path(apps.__path__[0]).parent

# The first bytes of audio formats, and their media types if `c2pa` can read them, else "".
SIGNATURES = {
    re.compile(rb"fLaC"): "audio/flac",
    re.compile(rb"RIFF....WAVE", re.DOTALL): "audio/wav",
    re.compile(rb"....ftyp", re.DOTALL): "audio/mp4",
    re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"): "audio/mpeg",
    re.compile(rb"OggS"): "",
    re.compile(rb"\x1aE\xdf\xa3"): "",  # WebM
    re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"): "",  # AAC
}
MANIFEST_START = b"jumdc2pa"  # A manifest may be anywhere in a file.
TAGGED_AS_SYNTHETIC = re.compile(rb"trainedAlgorithmicMedia|AI_GENERATED[\0=: ]{0,8}true", re.IGNORECASE)
# Validation failures that concern only the trust in the signer, not the content.
UNKNOWN_SIGNER = re.compile(r"signingCredential\.(untrusted|expired)|timeStamp\..*")


class Verdict(StrEnum):
    """The results, from the strongest evidence to none."""

    MADE_HERE = "made_here"
    ALTERED = "altered"
    ELSEWHERE = "elsewhere"
    TAGGED = "tagged"
    UNMARKED = "unmarked"


@dataclass(frozen=True, slots=True)
class Finding:
    """The statements of a file about itself, as far as they can be verified.

    `signed_here`: signed with a certificate of this installation. `made_at` (ISO 8601) and `engine` are empty if the
    file does not contain them. `signed_by` is the name in another certificate, which anyone can choose.
    """

    verdict: Verdict
    signed_here: bool = False
    made_at: str = ""
    engine: str = ""
    signed_by: str = ""
    says_synthetic: bool = False


class UnreadableError(Exception):
    """The file is not an audio file, or reading it exceeded a limit."""


def inspect_in_subprocess(file: IO[bytes], *, roots: bytes, serial_numbers: Collection[str]) -> Finding:
    """Inspect a file on disk, from its start, in a separate process. Raises UnreadableError."""
    file.seek(0)
    command = [sys.executable, "-m", __name__, roots.decode(), *serial_numbers]
    try:
        child = subprocess.run(  # noqa: S603 - the command contains no input
            command, stdin=file, capture_output=True, check=True, cwd=PROJECT_DIR, env={}, timeout=MAX_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise UnreadableError from error
    values = json.loads(child.stdout)
    return Finding(Verdict(values.pop("verdict")), **values)


def main() -> None:
    """Inspect the file on standard input."""
    roots, *serial_numbers = sys.argv[1:]
    _inspect_once(roots.encode())
    confine(MAX_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    finding = inspect(sys.stdin.buffer.read(), roots=roots.encode(), serial_numbers=serial_numbers)
    sys.stdout.write(json.dumps(asdict(finding)))


def _inspect_once(roots: bytes) -> None:
    """Import everything that inspecting needs. Later the process cannot open files."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8_000, 0, "NONE", ""))
        writer.writeframes(bytes(2))
    inspect(file.getvalue(), roots=roots, serial_numbers=[])


def inspect(data: bytes, *, roots: bytes, serial_numbers: Collection[str]) -> Finding:
    """Return the finding for the file `data`. `roots` (PEM) and `serial_numbers` are those of `Marker`.

    Only the content counts, not the name or media type. Raises UnreadableError if it is not an audio file.
    """
    media_type = _media_type(data)
    if media_type is None and MANIFEST_START not in data:
        raise UnreadableError
    finding = _inspect_manifest(data, media_type, roots, serial_numbers) if media_type else None
    if finding is None and MANIFEST_START in data:
        finding = Finding(Verdict.ALTERED)
    return finding or _inspect_tags(data)


def _media_type(data: bytes) -> str | None:
    start = id3_size(data)
    sound = data[start : start + 4096].lstrip(b"\0") if start else data[:16]  # Tags may be padded.
    return next((media_type for signature, media_type in SIGNATURES.items() if signature.match(sound)), None)


def _inspect_manifest(data: bytes, media_type: str, roots: bytes, serial_numbers: Collection[str]) -> Finding | None:
    """Return the finding from the manifest, or None if there is no manifest."""
    import c2pa  # Takes 0.3 s, and only the separate process needs it.

    settings = {
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "trust": {"user_anchors": roots.decode()},
    }
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader,
        ):
            return _evaluate(json.loads(reader.json()), serial_numbers)
    except c2pa.C2paError as error:
        if str(error).startswith("ManifestNotFound"):
            return None
        if str(error).startswith("Remote"):  # The file contains the URL of a manifest, which is not fetched.
            return Finding(Verdict.ELSEWHERE)
        return Finding(Verdict.ALTERED)


def _evaluate(store: dict[str, Any], serial_numbers: Collection[str]) -> Finding:
    manifest = store["manifests"][store["active_manifest"]]
    results = store["validation_results"]["activeManifest"]
    passed, failed = ({result["code"] for result in results.get(kind, [])} for kind in ("success", "failure"))
    signature = manifest.get("signature_info", {})
    is_own = "signingCredential.trusted" in passed and signature.get("cert_serial_number") in serial_numbers
    is_intact = all(UNKNOWN_SIGNER.fullmatch(code) for code in failed)
    # If only the audio was changed, the manifest itself is still as it was signed.
    is_authentic = is_intact or failed <= {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch"}
    finding = Finding(Verdict.ALTERED)
    if is_authentic:
        signed_by = signature.get("issuer") or signature.get("common_name") or ""
        finding = replace(_creation(manifest), signed_here=is_own, signed_by="" if is_own else _short(signed_by))
    if not is_intact:
        return replace(finding, verdict=Verdict.ALTERED)
    return replace(finding, verdict=Verdict.MADE_HERE if is_own else Verdict.ELSEWHERE)


def _creation(manifest: dict[str, Any]) -> Finding:
    """Return the statements of the manifest's actions about the creation of the audio."""
    finding = Finding(Verdict.ELSEWHERE)
    for action in _actions(manifest):
        agent = action.get("softwareAgent")
        engine = agent.get("name") if isinstance(agent, dict) else agent
        if action.get("action") == "c2pa.created":
            finding = replace(finding, made_at=_short(action.get("when")), engine=_short(engine))
        if "trainedalgorithmicmedia" in str(action.get("digitalSourceType")).lower():
            finding = replace(finding, says_synthetic=True)
    return finding


def _actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for assertion in manifest.get("assertions", []):
        if assertion.get("label", "").startswith("c2pa.actions"):
            yield from assertion["data"]["actions"]


def _short(text: object) -> str:
    return str(text or "")[:MAX_TEXT]


def _inspect_tags(data: bytes) -> Finding:
    """Return the finding from tags, which anyone can write or remove."""
    tags = read_tags(data)
    if tags.get(AI_KEY) != "true" and not TAGGED_AS_SYNTHETIC.search(data):
        return Finding(Verdict.UNMARKED)
    made_at, engine = (
        _short(tags.get(key)) if tags.get(SOFTWARE_KEY) == SOFTWARE else "" for key in (DATE_KEY, ENGINE_KEY)
    )
    return Finding(Verdict.TAGGED, made_at=made_at, engine=engine, says_synthetic=True)


if __name__ == "__main__":
    main()

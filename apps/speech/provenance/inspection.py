"""Tells what a sound file says of where it comes from. The file is a stranger's, and a native library reads it.

So it is read in a process of its own that may take little time and memory, write no file, and asks nobody on the
network: should it crash, one answer is missing and nothing else. This module is that process's program too, and
imports neither FFmpeg nor Django.
"""

from __future__ import annotations

import io
import json
import re
import resource
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import c2pa

from apps.speech.provenance.marks import AI_KEY, DATE_KEY, ENGINE_KEY, SOFTWARE, SOFTWARE_KEY, read_tags

MAX_MEMORY_BYTES = 1_000_000_000
MAX_CPU_SECONDS = 10
MAX_SECONDS = 20
MAX_TEXT = 100  # characters of what a stranger's file may have us repeat
PROJECT_DIR = Path(__file__).resolve().parents[3]

# Media types that `c2pa` reads, and "" for those that it does not, by how such files begin.
SIGNATURES = {
    re.compile(rb"fLaC"): "audio/flac",
    re.compile(rb"RIFF....WAVE", re.DOTALL): "audio/wav",
    re.compile(rb"....ftyp", re.DOTALL): "audio/mp4",
    re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"): "audio/mpeg",
    re.compile(rb"OggS"): "",
    re.compile(rb"\x1aE\xdf\xa3"): "",  # WebM
    re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"): "",  # AAC
}
REMAINS = b"jumdc2pa"  # How a manifest begins, wherever in a file it is.
TAGGED_AS_SYNTHETIC = re.compile(rb"trainedAlgorithmicMedia|AI_GENERATED[\0=: ]{0,8}true", re.IGNORECASE)
# The certificate alone is not believed, and all else is in order.
UNKNOWN_SIGNER = re.compile(r"signingCredential\.(untrusted|expired)|timeStamp\..*")


class Verdict(StrEnum):
    """What was found, from the strongest proof to none."""

    MADE_HERE = "made_here"
    ALTERED = "altered"
    ELSEWHERE = "elsewhere"
    TAGGED = "tagged"
    UNMARKED = "unmarked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a file says of itself, as far as it can be believed.

    `signed_here`: with a certificate of this installation. `made_at` (ISO 8601) and `engine` are empty where the file
    does not say. `signed_by` is what the certificate of somebody else says, who may be anybody.
    """

    verdict: Verdict
    signed_here: bool = False
    made_at: str = ""
    engine: str = ""
    signed_by: str = ""
    says_synthetic: bool = False


class UnreadableError(Exception):
    """The file is no sound file, or reading it went beyond what it may cost."""


def inspect_apart(file: IO[bytes], *, roots: bytes, serial_numbers: Collection[str]) -> Finding:
    """Inspect a file on disk, from its beginning, in a process of its own. Raises UnreadableError."""
    file.seek(0)
    command = [sys.executable, "-m", "apps.speech.provenance.inspection", roots.decode(), *serial_numbers]
    try:
        child = subprocess.run(  # noqa: S603 - nothing of it is the stranger's
            command, stdin=file, capture_output=True, check=True, cwd=PROJECT_DIR, env={}, timeout=MAX_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise UnreadableError from error
    values = json.loads(child.stdout)
    return Finding(Verdict(values.pop("verdict")), **values)


def main() -> None:
    """Inspect what comes on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    roots, *serial_numbers = sys.argv[1:]
    finding = inspect(sys.stdin.buffer.read(), roots=roots.encode(), serial_numbers=serial_numbers)
    sys.stdout.write(json.dumps(asdict(finding)))


def inspect(data: bytes, *, roots: bytes, serial_numbers: Collection[str]) -> Finding:
    """Return what the file `data` says of itself. `roots` (PEM) and `serial_numbers` are those of `Marker`.

    Only its content counts, no name and no type. Raises UnreadableError where it is no sound file.
    """
    media_type = _media_type(data)
    if media_type is None and REMAINS not in data:
        raise UnreadableError
    finding = _signed(data, media_type, roots, serial_numbers) if media_type else None
    if finding is None and REMAINS in data:
        finding = Finding(Verdict.ALTERED)
    return finding or _tagged(data)


def _media_type(data: bytes) -> str | None:
    begin = _behind_id3(data)
    sound = data[begin : begin + 4096].lstrip(b"\0") if begin else data[:16]  # Tags may be padded.
    return next((media_type for signature, media_type in SIGNATURES.items() if signature.match(sound)), None)


def _behind_id3(data: bytes) -> int:
    """Return where an ID3v2 tag ends. Source: id3.org/id3v2.4.0-structure, 3.1."""
    if not data.startswith(b"ID3") or len(data) < 10:
        return 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + (10 if data[5] & 0x10 else 0)


def _signed(data: bytes, media_type: str, roots: bytes, serial_numbers: Collection[str]) -> Finding | None:
    """Return what the manifest says; None where there is none."""
    settings = {
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "trust": {"user_anchors": roots.decode()},
    }
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader,
        ):
            return _judged(json.loads(reader.json()), serial_numbers)
    except c2pa.C2paError as error:
        if str(error).startswith("ManifestNotFound"):
            return None
        if str(error).startswith("Remote"):  # It names an address where its manifest would be.
            return Finding(Verdict.ELSEWHERE)
        return Finding(Verdict.ALTERED)


def _judged(store: dict[str, Any], serial_numbers: Collection[str]) -> Finding:
    manifest = store["manifests"][store["active_manifest"]]
    results = store["validation_results"]["activeManifest"]
    passed, failed = ({result["code"] for result in results.get(kind, [])} for kind in ("success", "failure"))
    signature = manifest.get("signature_info", {})
    is_own = "signingCredential.trusted" in passed and signature.get("cert_serial_number") in serial_numbers
    is_intact = all(UNKNOWN_SIGNER.fullmatch(code) for code in failed)
    # What stands in the manifest is as it was signed, whatever happened to the sound.
    is_believed = is_intact or failed <= {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch"}
    finding = Finding(Verdict.ALTERED)
    if is_believed:
        signed_by = signature.get("issuer") or signature.get("common_name") or ""
        finding = replace(_created(manifest), signed_here=is_own, signed_by="" if is_own else _short(signed_by))
    if not is_intact:
        return replace(finding, verdict=Verdict.ALTERED)
    return replace(finding, verdict=Verdict.MADE_HERE if is_own else Verdict.ELSEWHERE)


def _created(manifest: dict[str, Any]) -> Finding:
    """Return what the manifest's actions say of how the sound was made."""
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


def _tagged(data: bytes) -> Finding:
    """Return what tags say, which anyone can write and anyone can take out."""
    tags = read_tags(data)
    if tags.get(AI_KEY) != "true" and not TAGGED_AS_SYNTHETIC.search(data):
        return Finding(Verdict.UNMARKED)
    made_at, engine = (
        _short(tags.get(key)) if tags.get(SOFTWARE_KEY) == SOFTWARE else "" for key in (DATE_KEY, ENGINE_KEY)
    )
    return Finding(Verdict.TAGGED, made_at=made_at, engine=engine, says_synthetic=True)


if __name__ == "__main__":
    main()

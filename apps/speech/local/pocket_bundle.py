"""The files of Pocket TTS, as their publisher made them, and the check of their SHA-256.

The runtime does not survive some invalid files: it ends the process. So every file is compared with its published
SHA-256 before the runtime reads it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.speech.voice_folder import VoiceFolder


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file that the runtime reads. `size` is in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A release of the model: a tar.bz2 archive at `url` with `files` and `notices` in its folder `folder`.

    `size` (bytes) and `sha256` are those of the archive. `notices` are the texts about the licence, kept with the
    files.
    """

    url: str
    folder: str
    size: int
    sha256: str
    files: tuple[BundleFile, ...]
    notices: tuple[str, ...] = ("LICENSE", "README.md")


@dataclass(frozen=True, slots=True)
class PocketConfig:
    """The configuration of Pocket TTS.

    `model_dir` contains exactly the files of `bundle`; the voice cloner fills `voices_dir`. `threads` is the number of
    CPU threads.
    """

    model_dir: Path
    voices_dir: VoiceFolder
    bundle: Bundle
    threads: int = 1


POCKET_TTS = "pocket-tts"
"""The name of the model in `manage.py fetch_models`."""

OFFICIAL = Bundle(
    url=(
        "https://github.com/k2-fsa/sherpa-onnx/releases/download/tts-models/"
        "sherpa-onnx-pocket-tts-int8-2026-01-26.tar.bz2"
    ),
    folder="sherpa-onnx-pocket-tts-int8-2026-01-26",
    size=98_336_520,
    sha256="2f3b88823cbbb9bf0b2477ec8ae7b3fec417b3a87b6bb5f256dba66f2ad967cb",
    files=(
        BundleFile("lm_flow.int8.onnx", 9_962_530, "8d627d235c44a597da908e1085ebe241cbbe358964c502c5a5063d18851a5529"),
        BundleFile("lm_main.int8.onnx", 76_341_079, "bfc0c7e7e3d72864fa3bb2ee499f62f21ddc1474b885f5f3ca570f8be73e787e"),
        BundleFile("encoder.onnx", 72_713_165, "e8f2f6d301ffb96e398b138a7dc6d3038622d236044636b73d920bab85890260"),
        BundleFile("decoder.int8.onnx", 22_693_618, "12b0857402d31aead94df19d6783b4350d1f740e811f3a3202c70ad89ae11eea"),
        BundleFile(
            "text_conditioner.onnx", 16_388_343, "0b84e837d7bfaf2c896627b03e3f080320309f37f4fc7df7698c644f7ba5e6b1"
        ),
        BundleFile("vocab.json", 69_478, "6fb646346cf931016f70c4921aab0900ce7a304b893cb02135c74e294abfea01"),
        BundleFile("token_scores.json", 123_616, "5be2f278caf9b9800741f0fd82bff677f4943ec764c356f907213434b622d958"),
    ),
)

LICENCE_NOTICE: Promise = gettext_lazy(
    "Pocket TTS, © Kyutai (https://huggingface.co/kyutai/pocket-tts), is under the licence CC BY 4.0\n"
    "(https://creativecommons.org/licenses/by/4.0/). It was changed: exported to ONNX by\n"
    "KevinAHM/pocket-tts-onnx-export, reduced to 8 bits, and packaged by k2-fsa/sherpa-onnx. There is no warranty.\n"
    "The archive contradicts itself: its LICENSE is CC BY 4.0, while its README.md says “non-commercial”.\n"
    "Ask Kyutai before any commercial use.\n"
    "Kyutai prohibits, among others: to impersonate a person, or to clone a voice without the explicit and lawful\n"
    "consent of its speaker; misinformation, fraud, and synthetic speech that passes for a genuine recording;\n"
    "unlawful, harmful, hateful or privacy-invasive content."
)


class BundleError(FileNotFoundError):
    """A file is missing, or is not the published one. The message tells the operator what to do."""


def missing(model_dir: Path, bundle: Bundle) -> list[str]:
    """Return the names of the files that are missing from `model_dir` or have another size. Reads no file."""
    return [file.name for file in bundle.files if size_of(model_dir / file.name) != file.size]


def size_of(path: Path) -> int | None:
    """Return the size of the file at `path` in bytes, or None if there is no file."""
    return path.stat().st_size if path.is_file() else None


def verify(model_dir: Path, bundle: Bundle) -> None:
    """Compare every file of `bundle` in `model_dir` with its size and SHA-256. Raises BundleError."""
    for file in bundle.files:
        path = model_dir / file.name
        size = size_of(path)
        if size is None:
            text = _("%(path)s is missing. Run: manage.py fetch_models --with pocket-tts")
            raise BundleError(text % {"path": path})
        if size != file.size or sha256_of(path) != file.sha256:
            text = _(
                "%(path)s is not the published file: its SHA-256 is wrong. Delete it, then run: "
                "manage.py fetch_models --with pocket-tts"
            )
            raise BundleError(text % {"path": path})


def sha256_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()

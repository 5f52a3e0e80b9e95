"""Downloads Pocket TTS from its official release, on request.

The archive is read as a stream; an interrupted download continues where it stopped. Only members with an expected name
are unpacked, after the SHA-256 of the archive was checked.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from django.utils.translation import gettext as _

from apps.speech.local import pocket_bundle
from apps.speech.local.pocket_bundle import Bundle, BundleError

Report = Callable[[str], None]

BLOCK_BYTES = 1 << 16
CONNECT_SECONDS, IDLE_SECONDS = 10, 60
MAX_NOTICE_BYTES = 100_000
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416


class DownloadError(Exception):
    """Pocket TTS could not be installed. The message tells the operator how to continue."""


def fetch(model_dir: Path, bundle: Bundle, report: Report) -> None:
    """Put the files of `bundle` into `model_dir`. Calls `report` with each line of progress. Raises DownloadError.

    A call continues an interrupted one. Of two concurrent calls, one waits for the other.
    """
    try:
        if pocket_bundle.missing(model_dir, bundle):
            with _exclusive(model_dir) as staging:
                _install(model_dir, bundle, staging, report)
        pocket_bundle.verify(model_dir, bundle)
    except requests.RequestException as error:
        reason = f"HTTP {error.response.status_code}" if error.response is not None else type(error).__name__
        text = _(
            "Pocket TTS could not be downloaded. Check the network connection, then run this again: it continues "
            "where it stopped. Reason: %(reason)s"
        )
        raise DownloadError(text % {"reason": reason}) from error
    except (tarfile.TarError, EOFError) as error:
        raise DownloadError(_("The archive of Pocket TTS cannot be read. Run this again.")) from error
    except BundleError as error:
        raise DownloadError(str(error)) from error
    except OSError as error:
        text = _("Pocket TTS cannot be written to %(folder)s: %(reason)s.")
        raise DownloadError(text % {"folder": model_dir, "reason": error.strerror or error}) from error
    report(_("Pocket TTS is installed in %(folder)s.") % {"folder": model_dir})


@contextmanager
def _exclusive(model_dir: Path) -> Iterator[Path]:
    """Hold the lock of `model_dir`, and give a folder beside the model for incomplete files."""
    from filelock import FileLock

    staging = model_dir / ".download"
    staging.mkdir(parents=True, exist_ok=True)
    with FileLock(staging / "lock"):
        yield staging


def _install(model_dir: Path, bundle: Bundle, staging: Path, report: Report) -> None:
    if not pocket_bundle.missing(model_dir, bundle):  # Another process has installed it.
        return
    archive = staging / f"{bundle.sha256}.tar.bz2"
    _check_free_space(staging, bundle)
    download(bundle, archive, report)
    report(_("  checking and unpacking the archive"))
    if pocket_bundle.sha256_of(archive) != bundle.sha256:
        archive.unlink()
        raise DownloadError(
            _(
                "The archive of Pocket TTS is not the published one: its SHA-256 is wrong. It was deleted. Run this "
                "again. If it happens again, the release was changed."
            )
        )
    unpacked = staging / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir()
    unpack(archive, bundle, unpacked)
    pocket_bundle.verify(unpacked, bundle)
    for path in unpacked.iterdir():
        path.replace(model_dir / path.name)
    unpacked.rmdir()
    archive.unlink()


def _check_free_space(folder: Path, bundle: Bundle) -> None:
    needed = bundle.size + sum(file.size for file in bundle.files)
    free = shutil.disk_usage(folder).free
    if free < needed:
        text = _("Pocket TTS needs %(needed)d MB in %(folder)s, but only %(free)d MB are free.")
        raise DownloadError(text % {"needed": needed / 1e6, "free": free / 1e6, "folder": folder})


def download(bundle: Bundle, archive: Path, report: Report) -> None:
    """Download the archive of `bundle`, or what is missing of it. Raises DownloadError, RequestException, OSError."""
    start = pocket_bundle.size_of(archive) or 0
    if start >= bundle.size:
        return
    report(_("  downloading Pocket TTS (%(size)d MB)") % {"size": bundle.size / 1e6})
    # Other encodings would compress the archive a second time, and their ranges would be those of the encoded body.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    timeout = (CONNECT_SECONDS, IDLE_SECONDS)
    with requests.get(bundle.url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == RANGE_NOT_SATISFIABLE:  # The file there is shorter than what is here.
            archive.unlink()
        response.raise_for_status()
        _receive(response, bundle, archive, start)


def _receive(response: requests.Response, bundle: Bundle, archive: Path, start: int) -> None:
    continues = response.status_code == PARTIAL_CONTENT
    received = start if continues else 0
    with archive.open("ab" if continues else "wb") as file:
        for block in response.iter_content(BLOCK_BYTES):
            received += len(block)
            if received > bundle.size:
                break
            file.write(block)
    if received > bundle.size:
        archive.unlink()
        raise DownloadError(_("The archive of Pocket TTS is larger than the published one. It was deleted."))
    if received < bundle.size:
        raise DownloadError(_("The download of Pocket TTS broke off. Run this again: it continues where it stopped."))


def unpack(archive: Path, bundle: Bundle, target: Path) -> None:
    """Write the files and notices of `bundle` to `target`; ignore all other members. Raises DownloadError.

    A member counts only under its exact name and with its exact size (a notice: a small one), and as a regular file.
    """
    largest = {file.name: file.size for file in bundle.files} | dict.fromkeys(bundle.notices, MAX_NOTICE_BYTES)
    wanted = {f"{bundle.folder}/{name}": name for name in largest}
    with tarfile.open(archive, "r:bz2") as tarball:
        for member in tarball:
            name = wanted.get(member.name.removeprefix("./"))
            source = tarball.extractfile(member) if name and member.isreg() else None
            if name is None or source is None:
                continue
            if member.size > largest[name]:
                raise DownloadError(_("The archive of Pocket TTS is damaged or unexpected. Run this again."))
            with source, (target / name).open("wb") as output:
                shutil.copyfileobj(source, output, BLOCK_BYTES)

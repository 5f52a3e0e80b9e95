"""All processes of a site have one secret, one signing key and one storage. One that has another does not start."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from apps.core import identity
from apps.core.identity import STORAGE_FILE
from apps.core.models import SigningCertificate, SiteIdentity
from apps.speech import configs, signer
from apps.speech.audio.resampling import resample
from apps.speech.provenance.certificates import OWN_FILE, make_identity
from apps.speech.provenance.marks import Origin
from tests.audio_samples import clip
from tests.ports import free_port
from tests.processes import migrated_database, site_environment
from tests.site.test_verify import verdict_on

if TYPE_CHECKING:
    from pytest_django import Settings

OTHER_SECRET = "another-secret-that-is-long-enough-0123456789-abcdef"
SPEECH = resample(clip("austen-0930.wav"), sample_rate=24_000)


@pytest.fixture(autouse=True)
def started(db: None, settings: Settings, tmp_path: Path) -> None:
    """A site whose first process has started."""
    settings.MARKS_DIR, settings.MEDIA_ROOT = tmp_path / "marks", tmp_path / "media"
    assert identity.disagreement() == ""


def shown(*arguments: str) -> str:
    output = io.StringIO()
    call_command("identity", *arguments, stdout=output)
    return output.getvalue()


def test_the_first_start_records_salted_hashes_and_the_next_one_agrees(settings: Settings) -> None:
    rows = dict(SiteIdentity.objects.values_list("name", "fingerprint"))
    assert sorted(rows) == ["marks", "secret", "storage"]
    assert settings.SECRET_KEY not in "".join(rows.values())
    assert identity.disagreement() == ""
    assert dict(SiteIdentity.objects.values_list("name", "fingerprint")) == rows
    assert shown().count("agrees, since ") == 3


def test_another_secret_is_refused_until_it_is_accepted(settings: Settings) -> None:
    settings.SECRET_KEY = OTHER_SECRET
    assert "SECRET_KEY" in identity.disagreement()
    with pytest.raises(CommandError, match="SECRET_KEY is not the one of this site"):
        shown()
    assert "secret   agrees" in shown("--accept", "secret")
    assert identity.disagreement() == ""


def test_a_secret_is_changed_while_processes_with_the_old_one_run(settings: Settings) -> None:
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OTHER_SECRET, [old]
    assert identity.disagreement() == ""
    settings.SECRET_KEY_FALLBACKS = []
    assert identity.disagreement() == ""
    settings.SECRET_KEY = old
    assert identity.disagreement() != ""


def test_a_missing_or_another_signing_key_is_refused_and_none_is_made(settings: Settings, tmp_path: Path) -> None:
    settings.MARKS_DIR = tmp_path / "elsewhere"
    assert "manage.py identity --accept marks" in identity.disagreement()
    assert not settings.MARKS_DIR.exists()
    other = make_identity()
    settings.MARKS_KEY, settings.MARKS_CERTIFICATE = other.key.decode(), other.chain.decode()
    assert "MARKS_KEY" in identity.disagreement()


def test_the_signing_key_can_be_in_the_settings(settings: Settings, tmp_path: Path) -> None:
    key, begin, chain = (tmp_path / "marks" / OWN_FILE).read_text().partition("-----BEGIN CERTIFICATE-----")
    settings.MARKS_DIR = tmp_path / "elsewhere"
    settings.MARKS_KEY, settings.MARKS_CERTIFICATE = key.replace("\n", "\\n"), begin + chain
    assert identity.disagreement() == ""
    assert not settings.MARKS_DIR.exists()
    assert settings.MARKS_KEY not in repr(configs.marker_config())


def test_verify_knows_what_other_machines_sign_and_what_a_former_key_signed(settings: Settings, tmp_path: Path) -> None:
    origin = Origin("elevenlabs", datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC))
    before = signer.marker().to_mp3(SPEECH, origin)
    settings.MARKS_DIR = tmp_path / "new"
    foreign = signer.marker().to_mp3(SPEECH, origin)
    settings.MARKS_DIR = tmp_path / "marks"
    assert verdict_on(foreign)["verdict"] == "elsewhere"
    settings.MARKS_DIR = tmp_path / "new"
    shown("--accept", "marks")
    assert identity.disagreement() == ""
    assert SigningCertificate.objects.count() == 2
    for folder in ("new", "marks"):
        settings.MARKS_DIR = tmp_path / folder
        assert [verdict_on(mp3)["verdict"] for mp3 in (before, foreign)] == ["made_here", "made_here"]


def test_an_empty_or_another_storage_is_refused_and_left_alone(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "unmounted"
    assert "MEDIA_ROOT" in identity.disagreement()
    assert not settings.MEDIA_ROOT.exists()
    settings.MEDIA_ROOT.mkdir()
    (settings.MEDIA_ROOT / STORAGE_FILE).write_text("of another site")
    assert "MEDIA_ROOT" in identity.disagreement()
    shutil.copytree(tmp_path / "media", tmp_path / "moved")
    settings.MEDIA_ROOT = tmp_path / "moved"
    assert identity.disagreement() == ""


def test_a_storage_that_does_not_answer_keeps_nobody_from_starting(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "moved"
    (settings.MEDIA_ROOT / STORAGE_FILE).mkdir(parents=True)  # It cannot be read.
    assert identity.disagreement() == ""
    assert "storage  cannot be read" in shown()


@pytest.mark.django_db(transaction=True)
def test_processes_that_start_together_for_the_first_time_agree(settings: Settings, tmp_path: Path) -> None:
    SiteIdentity.objects.all().delete()
    settings.MARKS_DIR, settings.MEDIA_ROOT = tmp_path / "first", tmp_path / "first"

    def start(_number: int) -> str:
        try:
            return identity.disagreement()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as processes:
        assert list(processes.map(start, range(6))) == 6 * [""]
    assert shown().count("agrees, since ") == 3


class TestProcesses:
    """Real processes, on a database that a site with another secret has used."""

    @pytest.fixture
    def environment(self, tmp_path: Path) -> dict[str, str]:
        shutil.copy(migrated_database(), tmp_path / "db.sqlite3")
        environment = site_environment(tmp_path)
        self.run(environment, "manage.py", "identity", *("--accept", "secret"))
        return environment | {"SECRET_KEY": OTHER_SECRET}

    @staticmethod
    def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def test_a_web_server_that_disagrees_does_not_start_and_says_why(self, environment: dict[str, str]) -> None:
        ended = self.run(environment, *f"-m uvicorn voiceclone.asgi:application --port {free_port()}".split())
        assert ended.returncode == 3
        assert "SECRET_KEY is not the one of this site" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_a_worker_that_disagrees_does_not_start_and_says_why(self, environment: dict[str, str]) -> None:
        ended = self.run(environment, "manage.py", "worker", "--batch", "--no-startup-delay")
        assert ended.returncode == 1
        assert ended.stderr.startswith("CommandError: SECRET_KEY is not the one of this site")

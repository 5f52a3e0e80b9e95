from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.speech import registry
from apps.voices.models import VoiceProfile
from apps.voices.views import VOICES_PER_PAGE
from tests.audio_samples import clip, webm
from tests.client import QUESTION, SAMPLES, messages_of
from tests.factories import make_voice
from tests.fakes.elevenlabs import VOICES, elevenlabs_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.client import Page
    from tests.fakes.provider import FakeProvider

LIST = "/voices/"


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """A browser in which Alice is signed in."""
    client.force_login(alice)
    return client


class TestList:
    def test_it_shows_only_the_callers_voices(self, page: Client, alice: User, bob: User) -> None:
        mine = [
            make_voice(alice, f"voice-{status}", name=f"A {status} voice", status=status)
            for status in VoiceProfile.Status.values
        ]
        make_voice(bob, "other", name="Of somebody else")
        response = page.get(LIST)
        assert response.status_code == 200
        assert set(response.context["voices"]) == set(mine)
        for voice in mine:
            assert voice.name in response.content.decode()

    def test_it_shows_the_rules(self, page: Client) -> None:
        assert page.get(LIST).context["rules"].min_seconds == 10

    def test_recordings_play_without_javascript(self, page: Client, voice: VoiceProfile) -> None:
        path = reverse("api:voice-sample", args=[voice.pk, voice.samples.get().pk])
        assert f'src="{path}"' in page.get(LIST).content.decode()
        assert page.get(path).status_code == 200

    @pytest.mark.parametrize(
        ("provider", "sliders"),
        [("elevenlabs", ["stability", "similarity", "style", "speed"]), ("local", ["speed"])],
    )
    def test_a_voice_has_the_sliders_that_its_engine_supports(
        self, page: Client, alice: User, provider: str, sliders: list[str]
    ) -> None:
        make_voice(alice, "some-voice", provider=provider)
        assert re.findall(r'<input type="range"[^>]* name="(\w+)"', page.get(LIST).content.decode()) == sliders

    def test_it_takes_as_many_queries_for_many_voices_as_for_one(
        self, page: Client, alice: User, django_assert_num_queries: Any
    ) -> None:
        make_voice(alice, "voice")
        with CaptureQueriesContext(connection) as queries:
            page.get(LIST)
        for number in range(4):
            make_voice(alice, f"voice-{number}")
        with django_assert_num_queries(len(queries)):
            page.get(LIST)

    def test_many_voices_come_in_pages(self, page: Client, alice: User) -> None:
        made = [make_voice(alice, f"voice-{number}") for number in range(VOICES_PER_PAGE + 1)]
        assert list(page.get(LIST).context["voices"]) == made[:0:-1]
        assert list(page.get(LIST, {"page": "2"}).context["voices"]) == made[:1]

    def test_the_default_voice_comes_first(self, page: Client, alice: User) -> None:
        default = make_voice(alice, "default", is_default=True)
        newer = [make_voice(alice, f"voice-{number}") for number in range(2)]
        assert list(page.get(LIST).context["voices"]) == [default, *reversed(newer)]

    def test_a_name_is_suggested_that_is_not_taken(self, page: Client, alice: User) -> None:
        def suggested() -> str:
            return str(page.get(LIST).context["form"]["name"].value())

        assert suggested() == "My voice"
        make_voice(alice, "first", name="My voice")
        assert suggested() == "My voice 2"
        alice.first_name, alice.last_name = "Alice", "Liddell"
        alice.save()
        assert suggested() == "Alice Liddell"

    def test_names_are_escaped(self, page: Client, alice: User) -> None:
        make_voice(alice, "voice", name="<script>alert(1)</script>")
        assert "<script>alert" not in page.get(LIST).content.decode()


@pytest.mark.usefixtures("consent")
class TestClone:
    def clone(self, page: Client, files: list[bytes], name: str = "Jane") -> Page:
        uploads = [SimpleUploadedFile(f"{number}.wav", data) for number, data in enumerate(files)]
        return page.post(LIST, {"name": name, "audio": uploads})

    def test_the_form_clones_a_voice(self, page: Client, alice: User, remote_engines: FakeProvider) -> None:
        response = self.clone(page, SAMPLES)
        assert response.status_code == 302
        assert response["Location"] == LIST
        voice = VoiceProfile.objects.get()
        assert (voice.owner, voice.status, voice.samples.count()) == (alice, "ready", 2)
        assert messages_of(response) == ["success"]

    @pytest.mark.parametrize(
        ("files", "name", "field"),
        [([QUESTION], "Jane", "audio"), ([], "Jane", "audio"), (SAMPLES, "", "name"), ([b"text"], "Jane", "audio")],
        ids=["too short", "no file", "no name", "no recording"],
    )
    def test_a_refusal_shows_the_form_again_with_the_error(
        self, page: Client, remote_engines: FakeProvider, files: list[bytes], name: str, field: str
    ) -> None:
        response = self.clone(page, files, name)
        assert response.status_code == 422
        assert response.context["form"].errors.keys() == {field}
        assert response.context["form"]["name"].value() == name
        assert not VoiceProfile.objects.exists()
        assert not remote_engines.requests

    def test_a_provider_failure_is_shown_with_the_failed_voice(
        self, page: Client, remote_engines: FakeProvider
    ) -> None:
        remote_engines.fail_next(VOICES, status=429, body=elevenlabs_error("system_busy"))
        response = self.clone(page, SAMPLES)
        assert response.status_code == 503
        assert response.context["form"].errors
        assert [voice.status for voice in response.context["voices"]] == ["failed"]

    def test_busy_decoders_answer_503_with_retry_after(
        self, page: Client, busy_decoders: None, remote_engines: FakeProvider
    ) -> None:
        response = self.clone(page, [webm(clip("austen-0870.wav"))])
        assert response.status_code == 503
        assert int(response["Retry-After"]) > 0
        assert "Try again in a moment" in str(response.context["form"].errors["audio"])
        assert response.context["form"]["name"].value() == "Jane"
        assert not VoiceProfile.objects.exists()


@pytest.fixture
def busy_decoders(settings: Settings) -> Iterator[None]:
    """All decoder processes are busy with other uploads."""
    settings.DECODING_WAIT_SECONDS = 0.01
    registry._decoders.cache_clear()
    pool = registry._decoders()
    with pool._place_for("one"), pool._place_for("another"):
        yield
    pool.close()
    registry._decoders.cache_clear()


class TestActions:
    def test_rename(self, page: Client, voice: VoiceProfile) -> None:
        response = page.post(reverse("voices:rename", args=[voice.pk]), {"name": "Jane Doe"})
        assert response["Location"] == LIST
        voice.refresh_from_db()
        assert voice.name == "Jane Doe"

    @pytest.mark.parametrize("name", ["", "x" * 61])
    def test_rename_refuses_a_bad_name(self, page: Client, voice: VoiceProfile, name: str) -> None:
        response = page.post(reverse("voices:rename", args=[voice.pk]), {"name": name})
        assert messages_of(response) == ["error"]
        voice.refresh_from_db()
        assert voice.name == "Jane"

    def test_settings(self, page: Client, voice: VoiceProfile) -> None:
        VoiceProfile.objects.filter(pk=voice.pk).update(settings={"style": 0.4})
        sliders = {"stability": "0.3", "similarity": "0.75", "style": "0", "speed": "1.1"}
        response = page.post(reverse("voices:settings", args=[voice.pk]), sliders)
        assert response["Location"] == LIST
        assert messages_of(response) == ["success"]
        voice.refresh_from_db()
        assert voice.settings == {"stability": 0.3, "speed": 1.1}

    @pytest.mark.parametrize("speed", ["", "7", "fast"])
    def test_settings_refuse_bad_values(self, page: Client, alice: User, speed: str) -> None:
        local = make_voice(alice, "local-voice", provider="local")
        assert messages_of(page.post(reverse("voices:settings", args=[local.pk]), {"speed": speed})) == ["error"]
        local.refresh_from_db()
        assert local.settings == {}

    def test_make_default(self, page: Client, alice: User, voice: VoiceProfile) -> None:
        other = make_voice(alice, "other")
        assert page.post(reverse("voices:default", args=[other.pk]))["Location"] == LIST
        assert VoiceProfile.objects.get(is_default=True) == other

    def test_make_default_refuses_a_voice_that_is_not_ready(self, page: Client, alice: User) -> None:
        failed = make_voice(alice, "", status="failed")
        assert messages_of(page.post(reverse("voices:default", args=[failed.pk]))) == ["error"]
        assert not VoiceProfile.objects.filter(is_default=True).exists()

    def test_retry(self, page: Client, alice: User, remote_engines: FakeProvider) -> None:
        failed = make_voice(alice, "", status="failed", error_code="provider_busy")
        assert messages_of(page.post(reverse("voices:retry", args=[failed.pk]))) == ["success"]
        failed.refresh_from_db()
        assert failed.status == "ready"
        assert failed.voice_id in remote_engines.voices

    def test_delete_asks_first(self, page: Client, voice: VoiceProfile, remote_engines: FakeProvider) -> None:
        assert page.get(reverse("voices:delete", args=[voice.pk])).status_code == 200
        assert VoiceProfile.objects.get().status == "ready"
        assert not remote_engines.requests

    def test_delete(self, page: Client, voice: VoiceProfile, remote_engines: FakeProvider) -> None:
        response = page.post(reverse("voices:delete", args=[voice.pk]))
        assert response["Location"] == LIST
        assert messages_of(response) == ["success"]
        assert not VoiceProfile.objects.exists()
        assert not remote_engines.voices

    def test_delete_reports_a_provider_failure(
        self, page: Client, voice: VoiceProfile, remote_engines: FakeProvider
    ) -> None:
        remote_engines.fail_next(VOICES, status=401, body=elevenlabs_error("invalid_api_key"))
        assert messages_of(page.post(reverse("voices:delete", args=[voice.pk]))) == ["error"]
        assert VoiceProfile.objects.get().status == "deleting"

    @pytest.mark.parametrize("name", ["rename", "settings", "default", "retry"])
    def test_a_get_request_changes_nothing(self, page: Client, voice: VoiceProfile, name: str) -> None:
        assert page.get(reverse(f"voices:{name}", args=[voice.pk])).status_code == 405

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import reverse

from apps.voices.models import VoiceProfile
from tests.client import SAMPLES, Api, bearer, error_of
from tests.factories import make_voice

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

URL = "/api/v1/voices"


def test_it_lists_the_callers_voices_newest_first(client: Client, alice: User, alice_token: str, bob: User) -> None:
    first, second = make_voice(alice, "one", name="First"), make_voice(alice, "two", name="Second", status="failed")
    make_voice(bob, "three")
    body = client.get(URL, headers=bearer(alice_token)).json()
    assert body.keys() == {"results", "next"}
    assert [voice["id"] for voice in body["results"]] == [str(second.pk), str(first.pk)]
    assert body["next"] is None


def test_a_voice_has_the_documented_fields(client: Client, alice_token: str, voice: VoiceProfile) -> None:
    (shown,) = client.get(URL, headers=bearer(alice_token)).json()["results"]
    assert shown["id"] == str(voice.pk)
    assert shown["voice_id"] == voice.voice_id
    assert shown["sample_seconds"] == pytest.approx(7.1, abs=0.1)
    assert shown["error"] is None
    assert (shown["name"], shown["provider"], shown["status"]) == ("Jane", "elevenlabs", "ready")
    assert (shown["is_default"], shown["settings"], shown["last_used_at"]) == (True, {}, None)
    assert shown["created_at"].endswith("Z")


def test_a_failed_voice_says_why(client: Client, alice: User, alice_token: str) -> None:
    make_voice(alice, "", status="failed", error_code="provider_busy")
    (shown,) = client.get(URL, headers=bearer(alice_token)).json()["results"]
    assert shown["error"]["code"] == "provider_busy"
    assert shown["error"]["message"]


def test_long_lists_come_in_pages(client: Client, alice: User, alice_token: str) -> None:
    for number in range(3):
        make_voice(alice, f"voice-{number}")
    seen, url = [], f"{URL}?limit=2"
    while url:
        page = client.get(url, headers=bearer(alice_token)).json()
        seen.append([voice["voice_id"] for voice in page["results"]])
        url = page["next"]
    assert seen == [["voice-2", "voice-1"], ["voice-0"]]


def test_a_made_up_cursor_is_a_404(client: Client, alice_token: str) -> None:
    response = client.get(f"{URL}?cursor=made-up", headers=bearer(alice_token))
    assert response.status_code == 404
    error_of(response)


def test_it_takes_as_many_queries_for_many_voices_as_for_one(
    client: Client, alice: User, alice_token: str, django_assert_max_num_queries: object
) -> None:
    for number in range(5):
        make_voice(alice, f"voice-{number}")
    client.get(URL, headers=bearer(alice_token))
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        client.get(URL, headers=bearer(alice_token))


@pytest.mark.usefixtures("consent")
def test_posting_clones_a_voice(alice_api: Api, provider: FakeProvider) -> None:
    files = [("audio", (f"{number}.wav", data)) for number, data in enumerate(SAMPLES)]
    response = alice_api.post(URL, data={"name": "Jane"}, files=files)
    assert response.status_code == 201
    voice = VoiceProfile.objects.get()
    assert response.json()["id"] == str(voice.pk)
    assert response.json()["status"] == "ready"
    assert response.json()["voice_id"] == voice.voice_id in provider.voices


def test_posting_nothing_names_the_missing_fields(client: Client, alice_token: str) -> None:
    response = client.post(reverse("api:voices"), {}, headers=bearer(alice_token))
    assert response.status_code == 400
    assert error_of(response)["fields"].keys() == {"name", "audio"}

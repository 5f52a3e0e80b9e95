from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apps.speech.audio.decoding import decode
from tests.client import bearer, error_of
from tests.factories import SAMPLE, SAMPLE_SECONDS

if TYPE_CHECKING:
    from django.test import Client

    from apps.voices.models import VoiceProfile


def path_of(voice: VoiceProfile, voice_pk: object = None) -> str:
    return f"/api/v1/voices/{voice_pk or voice.pk}/samples/{voice.samples.get().pk}/audio"


def test_it_returns_the_recording_that_the_voice_was_cloned_from(
    client: Client, alice_token: str, voice: VoiceProfile
) -> None:
    (shown,) = client.get(f"/api/v1/voices/{voice.pk}", headers=bearer(alice_token)).json()["samples"]
    assert shown["id"] == voice.samples.get().pk
    assert shown["seconds"] == pytest.approx(SAMPLE_SECONDS)
    response = client.get(path_of(voice), headers=bearer(alice_token))
    assert response.status_code == 200
    assert response["Content-Type"] == "audio/flac"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "X-AI-Generated" not in response
    sound = decode(response.content, sample_rate=16_000, max_seconds=60)
    assert sound.seconds == pytest.approx(SAMPLE_SECONDS, abs=0.1)


def test_players_can_request_a_range(client: Client, alice_token: str, voice: VoiceProfile) -> None:
    response = client.get(path_of(voice), headers={**bearer(alice_token), "Range": "bytes=4-9"})
    assert response.status_code == 206
    assert response.content == SAMPLE[4:10]


def test_nobody_else_can_hear_it(client: Client, bob_token: str, voice: VoiceProfile) -> None:
    response = client.get(path_of(voice), headers=bearer(bob_token))
    assert response.status_code == 404
    error_of(response)
    assert client.get(path_of(voice)).status_code == 401


def test_a_recording_belongs_to_its_voice(client: Client, alice_token: str, voice: VoiceProfile) -> None:
    other = "00000000-0000-0000-0000-000000000000"
    assert client.get(path_of(voice, other), headers=bearer(alice_token)).status_code == 404

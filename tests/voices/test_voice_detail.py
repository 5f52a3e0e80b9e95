from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apps.core.errors import UserError
from apps.voices.models import VoiceProfile
from apps.voices.services import change_voice
from tests.client import bearer, error_of
from tests.factories import make_voice

if TYPE_CHECKING:
    from django.test import Client

    from apps.accounts.models import User
    from tests.client import Page

Send = Any


@pytest.fixture
def change(client: Client, alice_token: str, voice: VoiceProfile) -> Send:
    def send(**changes: Any) -> Page:
        headers = bearer(alice_token)
        return client.patch(f"/api/v1/voices/{voice.pk}", changes, content_type="application/json", headers=headers)

    return send


def test_it_shows_the_voice(client: Client, alice_token: str, voice: VoiceProfile) -> None:
    shown = client.get(f"/api/v1/voices/{voice.pk}", headers=bearer(alice_token))
    assert shown.status_code == 200
    assert shown.json()["voice_id"] == voice.voice_id


def test_it_renames(change: Send, voice: VoiceProfile) -> None:
    response = change(name=" Jane Doe ")
    assert response.status_code == 200
    assert response.json()["name"] == "Jane Doe"
    voice.refresh_from_db()
    assert voice.name == "Jane Doe"


def test_it_changes_single_settings_and_resets_them(change: Send, voice: VoiceProfile) -> None:
    assert change(settings={"stability": 0.4, "speed": 1.1}).json()["settings"] == {"stability": 0.4, "speed": 1.1}
    assert change(settings={"stability": None, "style": 1}).json()["settings"] == {"speed": 1.1, "style": 1}
    voice.refresh_from_db()
    assert (voice.speech_settings.stability, voice.speech_settings.speed) == (None, 1.1)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "x" * 61},
        {"name": None},
        {"settings": {"stability": 1.1}},
        {"settings": {"speed": 0.6}},
        {"settings": {"style": "much"}},
        {"settings": 7},
        {"is_default": "perhaps"},
    ],
    ids=str,
)
def test_it_refuses_bad_values(change: Send, voice: VoiceProfile, changes: dict[str, Any]) -> None:
    response = change(**changes)
    assert response.status_code == 400
    assert error_of(response)["fields"].keys() == changes.keys()
    voice.refresh_from_db()
    assert (voice.name, voice.settings) == ("Jane", {})


def test_read_only_fields_are_ignored(change: Send, voice: VoiceProfile, bob: User) -> None:
    assert change(voice_id="other", status="failed", owner=bob.pk, provider="local").status_code == 200
    row = VoiceProfile.objects.get()
    assert (row.voice_id, row.status, row.owner_id, row.provider) == (
        voice.voice_id,
        "ready",
        voice.owner_id,
        "elevenlabs",
    )


def test_it_makes_another_voice_the_default(client: Client, alice: User, alice_token: str, voice: VoiceProfile) -> None:
    other = make_voice(alice, "other")
    url, headers = f"/api/v1/voices/{other.pk}", bearer(alice_token)
    response = client.patch(url, {"is_default": True}, content_type="application/json", headers=headers)
    assert response.json()["is_default"] is True
    assert VoiceProfile.objects.get(is_default=True) == other


def test_only_a_ready_voice_becomes_the_default(
    client: Client, alice: User, alice_token: str, voice: VoiceProfile
) -> None:
    failed = make_voice(alice, "", status="failed")
    url, headers = f"/api/v1/voices/{failed.pk}", bearer(alice_token)
    response = client.patch(url, {"is_default": True}, content_type="application/json", headers=headers)
    assert response.status_code == 409
    assert error_of(response)["code"] == "voice_not_ready"
    assert VoiceProfile.objects.get(is_default=True) == voice


def test_all_changes_apply_or_none(client: Client, alice: User, alice_token: str, voice: VoiceProfile) -> None:
    failed = make_voice(alice, "", status="failed", name="Before")
    changes = {"name": "After", "settings": {"speed": 1.1}, "is_default": True}
    url, headers = f"/api/v1/voices/{failed.pk}", bearer(alice_token)
    response = client.patch(url, changes, content_type="application/json", headers=headers)
    assert response.status_code == 409
    failed.refresh_from_db()
    assert (failed.name, failed.settings, failed.is_default) == ("Before", {}, False)


def test_all_changes_of_one_request_apply(change: Send, voice: VoiceProfile) -> None:
    body = change(name="After", settings={"speed": 1.1}, is_default=True).json()
    assert (body["name"], body["settings"], body["is_default"]) == ("After", {"speed": 1.1}, True)


def test_a_change_keeps_a_concurrent_change(voice: VoiceProfile) -> None:
    VoiceProfile.objects.filter(pk=voice.pk).update(settings={"style": 0.2})
    change_voice(voice=voice, settings={"speed": 1.1})
    voice.refresh_from_db()
    assert voice.settings == {"style": 0.2, "speed": 1.1}


def test_a_voice_that_was_deleted_meanwhile_is_not_found(voice: VoiceProfile) -> None:
    VoiceProfile.objects.filter(pk=voice.pk).delete()
    with pytest.raises(UserError) as caught:
        change_voice(voice=voice, name="After")
    assert (caught.value.code, caught.value.status) == ("voice_not_found", 404)


@pytest.mark.parametrize(
    ("provider", "adjustable"),
    [("elevenlabs", ["stability", "similarity", "style", "speed"]), ("local", ["speed"])],
)
def test_it_lists_the_adjustable_settings(
    client: Client, alice: User, alice_token: str, provider: str, adjustable: list[str]
) -> None:
    made = make_voice(alice, "some-voice", provider=provider)
    assert client.get(f"/api/v1/voices/{made.pk}", headers=bearer(alice_token)).json()["adjustable"] == adjustable

"""Connections to the providers are cut after N bytes, for several N in each request and response.

For each N, the application succeeds or fails with a documented code. Afterwards, the provider and the database have
the same voices, and a retry succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from apps.background.reconciling import reconcile
from apps.conversations.models import RUNNING, Conversation, Turn
from apps.speech import availability
from apps.speech.providers.faults import RETRYABLE_CODES
from apps.voices.models import VoiceProfile, VoiceTag
from tests.client import QUESTION, Api, error_of, wait_until
from tests.conftest import Server, remote_settings, serve_with
from tests.factories import make_voice
from tests.faults.proxy import CuttingProxy, Direction
from tests.faults.site import expire_leases

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from apps.accounts.models import User
    from apps.voices.models import Consent
    from tests.fakes.provider import FakeProvider

SHARES = [0, 0.3, 0.7]
"""Shares of the bytes of an uncut call, after which a connection is cut. Another cut is before the last byte."""


@dataclass(frozen=True)
class Proxies:
    openai: CuttingProxy
    elevenlabs: CuttingProxy


@pytest.fixture(scope="module")
def proxies(provider_server: FakeProvider) -> Iterator[Proxies]:
    with (
        CuttingProxy(provider_server.url).running() as openai,
        CuttingProxy(provider_server.url).running() as elevenlabs,
    ):
        yield Proxies(openai, elevenlabs)


@pytest.fixture(scope="module")
def server_behind_proxies(provider_server: FakeProvider, proxies: Proxies) -> Iterator[Server]:
    openai_url = f"{proxies.openai.url}/v1"
    addresses = {"STT_BASE_URL": openai_url, "CHAT_BASE_URL": openai_url, "ELEVENLABS_BASE_URL": proxies.elevenlabs.url}
    with serve_with(remote_settings(provider_server) | addresses) as server:
        yield server


@pytest.fixture
def api(
    transactional_db: None,
    remote_engines: FakeProvider,
    server_behind_proxies: Server,
    alice_token: str,
    consent: Consent,
) -> Iterator[Api]:
    """An API client for Alice. The application reaches the providers through the proxies."""
    with Api(server_behind_proxies.url, alice_token) as api:
        yield api
    wait_until(server_behind_proxies.is_idle)


def cuts(proxy: CuttingProxy, direction: Direction, work: Any) -> list[int]:
    """Run `work` without a cut. Return the numbers of bytes after which to cut its next runs."""
    with proxy.counting() as counts:
        assert work().status_code in (200, 201, 204)
    total = counts[direction]
    assert total > 100
    return [*(round(share * total) for share in SHARES), total - 1]


def assert_documented(response: requests.Response) -> None:
    """Check that a failed request has a code that allows a retry."""
    if not response.ok:
        assert response.status_code in (502, 503, 504)
        assert error_of(response)["code"] in RETRYABLE_CODES


def reconcile_all(provider: FakeProvider) -> None:
    # So many cuts would open the breakers, which would end the series.
    for breakers in availability.breakers_in_use():
        breakers.close()
    expire_leases()
    outcomes = [outcome for _repair, outcome in reconcile()]
    assert set(outcomes) <= {"done"}
    assert set(provider.voices) == set(VoiceProfile.objects.exclude(voice_id="").values_list("voice_id", flat=True))
    assert not Turn.objects.filter(status__in=RUNNING).exists()
    assert not VoiceProfile.objects.filter(status__in=["pending", "deleting"]).exists()


@pytest.mark.parametrize("direction", Direction)
def test_cloning(api: Api, proxies: Proxies, provider: FakeProvider, direction: Direction) -> None:
    for size in cuts(proxies.elevenlabs, direction, api.clone_voice):
        VoiceProfile.objects.all().delete()
        provider.voices.clear()
        with proxies.elevenlabs.cutting(direction, size):
            response = api.clone_voice()
        assert_documented(response)
        reconcile_all(provider)
        voice = VoiceProfile.objects.get()
        if voice.status == "failed":
            assert api.post(f"/api/v1/voices/{voice.pk}/retry").status_code == 200
        assert len(provider.voices) == 1


@pytest.mark.parametrize("direction", Direction)
def test_deleting(api: Api, alice: User, proxies: Proxies, provider: FakeProvider, direction: Direction) -> None:
    def delete() -> requests.Response:
        voice = make_voice(alice, provider.add_voice("Jane"))
        VoiceTag.objects.create(pk=voice.pk, provider=voice.provider)
        return api.delete(f"/api/v1/voices/{voice.pk}")

    for size in cuts(proxies.elevenlabs, direction, delete):
        with proxies.elevenlabs.cutting(direction, size):
            response = delete()
        assert_documented(response)
        reconcile_all(provider)
        assert not provider.voices


@pytest.mark.parametrize("direction", Direction)
def test_hearing(api: Api, proxies: Proxies, direction: Direction) -> None:
    def transcribe() -> requests.Response:
        return api.post("/api/v1/transcriptions", files={"audio": ("question.wav", QUESTION)})

    for size in cuts(proxies.openai, direction, transcribe):
        with proxies.openai.cutting(direction, size):
            response = transcribe()
        assert_documented(response)
        assert transcribe().status_code == 200


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("stage", ["think", "speak"])
def test_answering(
    api: Api,
    proxies: Proxies,
    provider: FakeProvider,
    conversation: Conversation,
    stage: str,
    direction: Direction,
) -> None:
    proxy = proxies.openai if stage == "think" else proxies.elevenlabs
    for size in cuts(proxy, direction, lambda: api.ask(conversation, text="Hello?")):
        with proxy.cutting(direction, size):
            turn = api.ask(conversation, text="Hello?").json()
        reconcile_all(provider)
        if turn["status"] == "failed":
            assert (turn["error"]["stage"], turn["error"]["code"] in RETRYABLE_CODES) == (stage, True)
            turn = api.post(f"/api/v1/turns/{turn['id']}/retry").json()
        assert (turn["status"], turn["reply"]) == ("spoken", provider.behaviour.reply)

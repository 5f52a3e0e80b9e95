"""Processes that are killed (SIGKILL) while they clone, talk, delete and put right, at named points.

What is asserted is what docs/reliability.md promises: afterwards the provider's voices and the database are the same
set, nothing that was paid for is lost, and nothing hangs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import requests
from urllib3.exceptions import ProtocolError

from apps.background.reconciling import planned
from apps.conversations.models import RUNNING, Conversation, Turn
from apps.usage.models import UsageDay
from apps.voices.models import VoiceProfile, VoiceTag
from tests.client import Api
from tests.factories import make_consent, make_voice
from tests.fakes.provider import (
    CHAT,
    SPEECH,
    TRANSCRIPTIONS,
    VOICES,
    VOICES_ADD,
    VOICES_SEARCH,
    ClientLeftError,
    Moment,
)
from tests.faults.site import Site, let_leases_run_out, running_site, stored_files, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

# One piece, and so one request for speech: the reply is stored before it is asked for.
REPLY = "Paris lies on the Seine."


@dataclass(frozen=True)
class Point:
    """Where a process is killed: what the provider sees of it by then."""

    name: str
    method: str
    path: str
    moment: Moment

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


CLONING = [
    Point("half of the samples sent", "POST", VOICES_ADD, Moment.HALF_RECEIVED),
    Point("samples sent", "POST", VOICES_ADD, Moment.RECEIVED),
    Point("voice made, no answer", "POST", VOICES_ADD, Moment.DONE),
    Point("voice made and answered", "POST", VOICES_ADD, Moment.ANSWERED),
]
TALKING = [
    Point("half of the question sent", "POST", TRANSCRIPTIONS, Moment.HALF_RECEIVED),
    Point("question sent", "POST", TRANSCRIPTIONS, Moment.RECEIVED),
    Point("question heard and answered", "POST", TRANSCRIPTIONS, Moment.ANSWERED),
    Point("model asked", "POST", CHAT, Moment.RECEIVED),
    Point("half of the reply written", "POST", CHAT, Moment.HALF_ANSWERED),
    Point("reply written", "POST", CHAT, Moment.ANSWERED),
    Point("voice asked", "POST", SPEECH, Moment.RECEIVED),
    Point("half of the answer spoken", "POST", SPEECH, Moment.HALF_ANSWERED),
    Point("answer spoken", "POST", SPEECH, Moment.ANSWERED),
]
DELETING = [
    Point("deletion asked for", "DELETE", VOICES, Moment.RECEIVED),
    Point("voice deleted, no answer", "DELETE", VOICES, Moment.DONE),
    Point("voice deleted and answered", "DELETE", VOICES, Moment.ANSWERED),
]
PUTTING_RIGHT = [
    Point("voices listed", "GET", VOICES_SEARCH, Moment.ANSWERED),
    Point("deletion repeated, no answer", "DELETE", VOICES, Moment.DONE),
    Point("voice made by a killed process found", "GET", VOICES_SEARCH, Moment.DONE),
]


@pytest.fixture(scope="module")
def own_site(
    provider_server: FakeProvider, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    log = tmp_path_factory.mktemp("faults") / "site.log"
    with log.open("w") as file, running_site(provider_server.url, file) as site:
        yield site


@pytest.fixture
def site(transactional_db: None, remote_engines: FakeProvider, own_site: Site) -> Site:
    """The application in processes of its own, whose web server runs."""
    remote_engines.behaviour.reply = REPLY
    own_site.start_web()
    return own_site


@pytest.fixture
def api(site: Site, alice: User, alice_token: str) -> Iterator[Api]:
    make_consent(alice, method="attested", clip="")
    with Api(site.url, alice_token) as api:
        yield api


def kill_at(provider: FakeProvider, point: Point, kill: Callable[[], None]) -> None:
    """Kill at `point`; a request that nobody waits for is dropped, where the provider has done nothing yet."""

    def ambush() -> None:
        kill()
        if point.moment in (Moment.HALF_RECEIVED, Moment.RECEIVED):
            raise ClientLeftError

    provider.at(point.method, point.path, point.moment, ambush)


def killed_while(site: Site, provider: FakeProvider, point: Point, work: Callable[[], object]) -> None:
    """Do `work`, during which the web server is killed at `point`."""
    victim = site.web
    kill_at(provider, point, site.kill_web)
    with pytest.raises((requests.RequestException, ProtocolError)):
        work()
    assert site.killed[-1] == victim


def restart(site: Site) -> None:
    """Start all anew, a while later; return when the worker has put right what was left."""
    let_leases_run_out()
    site.start_worker()
    wait_until(is_put_right, "that all is put right")
    site.kill_worker()
    site.start_web()


def is_put_right() -> bool:
    under_way = [VoiceProfile.Status.PENDING, VoiceProfile.Status.DELETING]
    hangs = Turn.objects.filter(status__in=RUNNING).exists()
    return not hangs and not VoiceProfile.objects.filter(status__in=under_way).exists() and not list(planned())


def assert_same_set(provider: FakeProvider) -> None:
    """Look that every voice is here and at the provider."""
    assert set(provider.voices) == set(VoiceProfile.objects.exclude(voice_id="").values_list("voice_id", flat=True))


@pytest.mark.parametrize("point", CLONING, ids=str)
def test_a_voice_is_there_once_after_a_kill_while_it_was_cloned(
    site: Site, api: Api, provider: FakeProvider, point: Point
) -> None:
    killed_while(site, provider, point, api.clone_voice)
    was_made = bool(provider.voices)
    assert was_made == (point.moment in (Moment.DONE, Moment.ANSWERED))
    restart(site)
    assert_same_set(provider)
    voice = VoiceProfile.objects.get()
    assert voice.status == ("ready" if was_made else "failed")
    if not was_made:
        assert voice.error_code == "server_stopped"
        assert api.post(f"/api/v1/voices/{voice.pk}/retry").json()["status"] == "ready"
    assert len(provider.voices) == 1
    assert UsageDay.objects.get().running == 0


@pytest.mark.parametrize("point", TALKING, ids=str)
def test_a_turn_goes_on_after_a_kill_and_no_paid_call_is_repeated(
    site: Site, api: Api, provider: FakeProvider, conversation: Conversation, point: Point
) -> None:
    killed_while(site, provider, point, lambda: api.events_of_turn(conversation))
    model_was_asked, voice_was_asked = provider.requests_to(CHAT), provider.requests_to(SPEECH)
    restart(site)
    assert_same_set(provider)
    turn = Turn.objects.first()
    if turn is None:  # It was killed before anything of it was stored, and so before anything was paid for.
        assert not model_was_asked
        return
    if turn.status == "failed":
        assert turn.error_code == "server_stopped"
        turn_json = api.post(f"/api/v1/turns/{turn.pk}/retry").json()
        assert (turn_json["status"], turn_json["reply"]) == ("spoken", REPLY)
    assert Turn.objects.get().status == "spoken"
    assert len(provider.requests_to(TRANSCRIPTIONS)) - 1 <= (not model_was_asked)
    assert len(provider.requests_to(CHAT)) - 1 <= (not voice_was_asked)
    assert UsageDay.objects.get().running == 0


@pytest.mark.parametrize("point", DELETING, ids=str)
def test_a_voice_is_gone_after_a_kill_while_it_was_deleted(
    site: Site, api: Api, provider: FakeProvider, voice: VoiceProfile, point: Point
) -> None:
    killed_while(site, provider, point, lambda: api.delete(f"/api/v1/voices/{voice.pk}"))
    restart(site)
    assert_same_set(provider)
    assert not provider.voices
    assert not VoiceProfile.objects.exists()
    assert not stored_files()


@pytest.mark.parametrize("point", PUTTING_RIGHT, ids=str)
def test_a_worker_goes_on_where_one_was_killed(
    site: Site, alice: User, provider: FakeProvider, conversation: Conversation, point: Point
) -> None:
    half_deleted = make_voice(alice, provider.add_voice("Old"), status="deleting")
    half_made = make_voice(alice, "", status="pending")
    VoiceTag.objects.create(pk=half_made.pk, provider="elevenlabs")
    made = provider.add_voice(half_made.provider_name)
    hanging = Turn.objects.create(owner=alice, conversation=conversation, transcript="Hello?", status="heard")
    let_leases_run_out()
    kill_at(provider, point, site.kill_worker)
    site.start_worker()
    wait_until(lambda: site.worker in site.killed, "the point at which the worker is killed")
    restart(site)
    assert_same_set(provider)
    assert not VoiceProfile.objects.filter(pk=half_deleted.pk).exists()
    half_made.refresh_from_db()
    assert (half_made.status, half_made.voice_id) == ("ready", made)
    hanging.refresh_from_db()
    assert (hanging.status, hanging.failed_stage, hanging.retryable) == ("failed", "think", True)

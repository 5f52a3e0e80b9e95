"""Processes are killed (SIGKILL) at named points while they clone, talk, delete or reconcile.

The tests check the promises of docs/reliability.md: afterwards, the provider and the database have the same voices,
nothing that was paid for is lost, and nothing hangs.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import requests
from urllib3.exceptions import ProtocolError

from apps.background.reconciling import planned
from apps.conversations.models import RUNNING, Conversation, Turn
from apps.usage.models import UsageDay
from apps.voices.models import VoiceProfile, VoiceTag
from tests.client import Api, wait_until
from tests.factories import make_consent, make_voice
from tests.fakes.behaviour import Moment
from tests.fakes.elevenlabs import SPEECH, VOICES, VOICES_ADD, VOICES_SEARCH
from tests.fakes.exchange import ClientLeftError
from tests.fakes.openai import CHAT, TRANSCRIPTIONS
from tests.faults.site import Site, expire_leases, running_site
from tests.storage import stored_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

# One segment, so there is one request for speech, and the reply is stored before it.
REPLY = "Paris lies on the Seine."


@dataclass(frozen=True)
class Point:
    """A point at which a process is killed, defined by a request that the provider sees."""

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
RECONCILING = [
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
    """The application in separate processes, with a running web server."""
    remote_engines.behaviour.reply = REPLY
    own_site.start_web()
    return own_site


@pytest.fixture
def api(site: Site, alice: User, alice_token: str) -> Iterator[Api]:
    make_consent(alice, method="attested", clip="")
    with Api(site.url, alice_token) as api:
        yield api


def kill_at(provider: FakeProvider, point: Point, kill: Callable[[], None]) -> None:
    """Kill at `point`. If the provider has done nothing by then, it drops the request of the killed process."""

    def ambush() -> None:
        kill()
        if point.moment in (Moment.HALF_RECEIVED, Moment.RECEIVED):
            raise ClientLeftError

    provider.at(point.method, point.path, point.moment, ambush)


def killed_while(site: Site, provider: FakeProvider, point: Point, work: Callable[[], object]) -> None:
    """Run `work`, and kill the web server at `point` during it.

    A server that has the whole answer may be faster than its killer: then the work is done, and has to stay so.
    """
    victim = site.web
    kill_at(provider, point, site.kill_web)
    faults = requests.RequestException, ProtocolError
    with suppress(*faults) if point.moment is Moment.ANSWERED else pytest.raises(faults):
        work()
    wait_until(lambda: victim in site.killed)


def restart(site: Site) -> None:
    """Let the leases expire, let a worker repair interrupted work, and start the web server again."""
    expire_leases()
    site.start_worker()
    wait_until(is_repaired)
    site.kill_worker()
    site.start_web()


def is_repaired() -> bool:
    under_way = [VoiceProfile.Status.PENDING, VoiceProfile.Status.DELETING]
    hangs = Turn.objects.filter(status__in=RUNNING).exists()
    return not hangs and not VoiceProfile.objects.filter(status__in=under_way).exists() and not list(planned())


def assert_same_voices(provider: FakeProvider) -> None:
    """Check that the database and the provider have the same voices."""
    assert set(provider.voices) == set(VoiceProfile.objects.exclude(voice_id="").values_list("voice_id", flat=True))


@pytest.mark.parametrize("point", CLONING, ids=str)
def test_a_voice_exists_once_after_a_kill_during_cloning(
    site: Site, api: Api, provider: FakeProvider, point: Point
) -> None:
    killed_while(site, provider, point, api.clone_voice)
    was_made = bool(provider.voices)
    assert was_made == (point.moment in (Moment.DONE, Moment.ANSWERED))
    restart(site)
    assert_same_voices(provider)
    voice = VoiceProfile.objects.get()
    assert voice.status == ("ready" if was_made else "failed")
    if not was_made:
        assert voice.error_code == "server_stopped"
        assert api.post(f"/api/v1/voices/{voice.pk}/retry").json()["status"] == "ready"
    assert len(provider.voices) == 1
    assert UsageDay.objects.get().running == 0


@pytest.mark.parametrize("point", TALKING, ids=str)
def test_a_turn_can_be_retried_after_a_kill_without_repeating_paid_calls(
    site: Site, api: Api, provider: FakeProvider, conversation: Conversation, point: Point
) -> None:
    killed_while(site, provider, point, lambda: api.events_of_turn(conversation))
    model_was_asked, voice_was_asked = provider.requests_to(CHAT), provider.requests_to(SPEECH)
    restart(site)
    assert_same_voices(provider)
    turn = Turn.objects.first()
    if turn is None:  # It was killed before the turn was stored, and before any paid call.
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
def test_a_voice_is_deleted_after_a_kill_during_its_deletion(
    site: Site, api: Api, provider: FakeProvider, voice: VoiceProfile, point: Point
) -> None:
    killed_while(site, provider, point, lambda: api.delete(f"/api/v1/voices/{voice.pk}"))
    restart(site)
    assert_same_voices(provider)
    assert not provider.voices
    assert not VoiceProfile.objects.exists()
    assert not stored_files()


@pytest.mark.parametrize("point", RECONCILING, ids=str)
def test_a_worker_continues_the_work_of_a_killed_one(
    site: Site, alice: User, provider: FakeProvider, conversation: Conversation, point: Point
) -> None:
    half_deleted = make_voice(alice, provider.add_voice("Old"), status="deleting")
    half_made = make_voice(alice, "", status="pending")
    VoiceTag.objects.create(pk=half_made.pk, provider="elevenlabs")
    made = provider.add_voice(half_made.provider_name)
    hanging = Turn.objects.create(owner=alice, conversation=conversation, transcript="Hello?", status="heard")
    expire_leases()
    kill_at(provider, point, site.kill_worker)
    site.start_worker()
    wait_until(lambda: site.worker in site.killed)
    restart(site)
    assert_same_voices(provider)
    assert not VoiceProfile.objects.filter(pk=half_deleted.pk).exists()
    half_made.refresh_from_db()
    assert (half_made.status, half_made.voice_id) == ("ready", made)
    hanging.refresh_from_db()
    assert (hanging.status, hanging.failed_stage, hanging.retryable) == ("failed", "think", True)

"""One person's work keeps no worker from that of others. `manage.py worker` is a process of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django_tasks_db.models import DBTaskResult

from apps.voices.consent import withdraw_consent
from apps.voices.models import VoiceProfile
from apps.webhooks import services as webhooks
from apps.webhooks.models import WebhookDelivery, WebhookEvent
from tests.client import wait_until
from tests.factories import make_voice
from tests.fakes.behaviour import Moment
from tests.fakes.elevenlabs import VOICES
from tests.fakes.receivers import SlowReceiver, slow_receiver
from tests.faults.site import Site, is_alive, running_site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

TURNS = 3
BEGINS_WITHIN = timedelta(seconds=5)


@pytest.fixture(scope="module")
def own_site(
    provider_server: FakeProvider, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    log = tmp_path_factory.mktemp("starved") / "site.log"
    with log.open("w") as file, running_site(provider_server.url, file, WEBHOOK_ALLOW_PRIVATE="on") as site:
        yield site


@pytest.fixture
def worker(transactional_db: None, remote_engines: FakeProvider, own_site: Site, settings: Settings) -> Iterator[Site]:
    """A site whose worker the test starts."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    yield own_site
    if own_site.worker:
        own_site.kill_worker()


@pytest.fixture
def attacked(worker: Site, alice: User) -> Iterator[SlowReceiver]:
    """A running worker that is sending to one of Alice's receivers, which take all the time that they get."""
    with slow_receiver() as receiver:
        for number in range(webhooks.MAX_WEBHOOKS):
            # Names of one machine that are different servers, as far as anybody can know.
            host = f"127.0.0.{number + 1}"
            webhooks.create_webhook(owner=alice, url=receiver.url.replace("127.0.0.1", host))
        for _turn in range(TURNS):
            webhooks.notify(owner_id=alice.pk, event=WebhookEvent.TURN_DONE, data={})
        worker.start_worker()
        wait_until(lambda: receiver.count)
        yield receiver


def the_deletion() -> DBTaskResult[..., Any]:
    return DBTaskResult.objects.get(task_path="apps.voices.deletion.finish_deletion")


@pytest.mark.usefixtures("attacked")
def test_a_withdrawal_deletes_the_voice_within_seconds(bob: User, provider: FakeProvider) -> None:
    voice = make_voice(bob, provider.add_voice("Bob"))
    withdraw_consent(consent=voice.consent)
    wait_until(lambda: not VoiceProfile.objects.filter(pk=voice.pk).exists())
    task = the_deletion()
    assert task.started_at
    waited = task.started_at - task.enqueued_at
    print(f"The deletion began after {waited.total_seconds():.2f} s")  # noqa: T201 - the figure in docs/reliability.md
    assert waited < BEGINS_WITHIN
    assert not provider.voices


@pytest.mark.usefixtures("attacked")
def test_another_persons_messages_are_sent_within_seconds(bob: User) -> None:
    with slow_receiver() as quick:
        quick.cured.set()
        webhooks.create_webhook(owner=bob, url=quick.url)
        webhooks.notify(owner_id=bob.pk, event=WebhookEvent.TURN_DONE, data={})
        wait_until(lambda: WebhookDelivery.objects.filter(owner=bob, status="delivered").exists())
    delivery = WebhookDelivery.objects.get(owner=bob)
    assert delivery.last_try_at
    waited = delivery.last_try_at - delivery.created_at
    print(f"The message was delivered after {waited.total_seconds():.2f} s")  # noqa: T201
    assert waited < BEGINS_WITHIN


class TestStopping:
    """A worker that is told to stop while the provider takes its time to delete a voice."""

    @pytest.fixture
    def provider_may_go_on(self, worker: Site, bob: User, provider: FakeProvider) -> Iterator[threading.Event]:
        """The worker runs, and has asked the provider, which waits for this event."""
        asked, may_go_on = threading.Event(), threading.Event()

        def hold() -> None:
            asked.set()
            assert may_go_on.wait(60)

        provider.at("DELETE", VOICES, Moment.RECEIVED, hold)
        voice = make_voice(bob, provider.add_voice("Bob"))
        withdraw_consent(consent=voice.consent)
        worker.start_worker()
        assert asked.wait(60)
        yield may_go_on
        may_go_on.set()

    def test_it_finishes_what_it_does(self, worker: Site, provider_may_go_on: threading.Event) -> None:
        os.kill(worker.worker, signal.SIGTERM)
        time.sleep(0.3)
        assert is_alive(worker.worker)
        provider_may_go_on.set()
        wait_until(lambda: not is_alive(worker.worker))
        assert the_deletion().status == "SUCCESSFUL"
        assert not VoiceProfile.objects.exists()

    def test_told_twice_it_leaves_it_to_the_next_worker(
        self, worker: Site, provider_may_go_on: threading.Event
    ) -> None:
        os.kill(worker.worker, signal.SIGTERM)
        time.sleep(0.1)  # Two signals at once would be one.
        os.kill(worker.worker, signal.SIGTERM)
        wait_until(lambda: not is_alive(worker.worker))
        assert the_deletion().status == "READY"
        provider_may_go_on.set()
        worker.start_worker()
        wait_until(lambda: the_deletion().status == "SUCCESSFUL")
        assert not VoiceProfile.objects.exists()

"""Background work: what a dead worker left is done again, the old goes, and web server and worker live together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from django.conf import settings as django_settings
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import User
from apps.background.queue import KEPT_TASKS, LEASE, MAX_STARTS, delete_old_tasks, run_abandoned_again
from apps.webhooks import tasks
from apps.webhooks.models import WebhookDelivery, WebhookEvent
from apps.webhooks.services import KEPT_DELIVERIES, create_webhook, delete_old_deliveries, notify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from django.test import Client

LONG_AGO = LEASE + timedelta(minutes=1)
PATIENCE_SECONDS = 60


def begin(*, ago: timedelta, starts: int = 1, **values: Any) -> DBTaskResult[..., Any]:
    """Return a task that a worker has begun, `ago`."""
    queued = tasks.deliver_webhook.enqueue("00000000-0000-4000-8000-000000000000")
    begun = {"status": "RUNNING", "started_at": timezone.now() - ago, "worker_ids": ["dead"] * starts}
    DBTaskResult.objects.filter(pk=queued.id).update(**begun | values)
    return DBTaskResult.objects.get(pk=queued.id)


@pytest.mark.django_db
class TestAbandoned:
    def test_what_a_dead_worker_began_is_done_again(self) -> None:
        task = begin(ago=LONG_AGO)
        assert run_abandoned_again() == 1
        task.refresh_from_db()
        assert task.status == "READY"

    def test_what_may_still_run_is_left_alone(self) -> None:
        task = begin(ago=LEASE / 2)
        assert run_abandoned_again() == 0
        task.refresh_from_db()
        assert task.status == "RUNNING"

    def test_what_was_broken_off_is_done_again_at_once(self) -> None:
        begin(ago=timedelta(0), status="FAILED", exception_class_path="builtins.SystemExit")
        assert run_abandoned_again() == 1

    def test_what_failed_by_itself_is_not(self) -> None:
        begin(ago=LONG_AGO, status="FAILED", exception_class_path="builtins.ValueError")
        assert run_abandoned_again() == 0

    def test_what_takes_every_worker_down_is_given_up(self) -> None:
        task = begin(ago=LONG_AGO, starts=MAX_STARTS)
        assert run_abandoned_again() == 0
        task.refresh_from_db()
        assert task.status == "FAILED"
        assert "never ended" in task.traceback


def test_what_is_over_for_long_goes_and_what_failed_stays(alice: User) -> None:
    old = timezone.now() - KEPT_TASKS - timedelta(days=1)
    done = begin(ago=LONG_AGO, status="SUCCESSFUL", finished_at=old)
    failed = begin(ago=LONG_AGO, status="FAILED", finished_at=old, exception_class_path="builtins.ValueError")
    create_webhook(owner=alice, url="https://example.org/")
    for status in WebhookDelivery.Status:
        notify(owner_id=alice.pk, event=WebhookEvent.TURN_DONE, data={})
        newest = WebhookDelivery.objects.latest("created_at")
        long_ago = timezone.now() - KEPT_DELIVERIES - timedelta(days=1)
        WebhookDelivery.objects.filter(pk=newest.pk).update(status=status, created_at=long_ago)
    delete_old_tasks()
    delete_old_deliveries()
    assert not DBTaskResult.objects.filter(pk=done.pk).exists()
    assert DBTaskResult.objects.filter(pk=failed.pk).exists()
    assert [delivery.status for delivery in WebhookDelivery.objects.all()] == ["pending"]


class TestAdmin:
    @pytest.fixture
    def staff(self, client: Client, db: None) -> Client:
        client.force_login(User.objects.create_superuser("root"))
        return client

    def test_dead_tasks_are_seen_and_can_be_run_again(self, staff: Client) -> None:
        failed = begin(ago=LONG_AGO, status="FAILED", exception_class_path="builtins.ValueError", traceback="Oh!")
        path = reverse("admin:django_tasks_database_dbtaskresult_changelist")
        assert failed in staff.get(path + "?status__exact=FAILED").context["cl"].result_list
        staff.post(path, {"action": "run_again", "_selected_action": [str(failed.pk)]})
        failed.refresh_from_db()
        assert failed.status == "READY"

    def test_webhooks_their_messages_and_usage_are_seen_and_no_secret(self, staff: Client, alice: User) -> None:
        webhook = create_webhook(owner=alice, url="https://example.org/hook")
        notify(owner_id=alice.pk, event=WebhookEvent.TURN_DONE, data={})
        for model in ("webhooks_webhook", "webhooks_webhookdelivery", "usage_usageday", "usage_usagerecord"):
            assert staff.get(reverse(f"admin:{model}_changelist")).status_code == 200
        page = staff.get(reverse("admin:webhooks_webhook_change", args=[webhook.pk])).content.decode()
        assert webhook.secret not in page
        assert webhook.salt not in page


class TestRun:
    """`python -m voiceclone.run`, as `make run` calls it."""

    @pytest.fixture
    def environment(self, tmp_path: Path) -> dict[str, str]:
        """A site of its own, without weights: what it cannot speak, it can still serve."""
        own = {
            "DJANGO_SETTINGS_MODULE": "voiceclone.settings",
            "SECRET_KEY": "made-up" * 8,
            "MODELS_DIR": str(tmp_path),
        }
        return os.environ | own | {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "MEDIA_ROOT": str(tmp_path)}

    @pytest.fixture
    def port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            number: int = free.getsockname()[1]
            return number

    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        """What both processes print."""
        return tmp_path / "run.log"

    @pytest.fixture
    def run(self, environment: dict[str, str], port: int, log: Path) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "voiceclone.run", "--host", "127.0.0.1", "--port", str(port)]
        options: Any = {"cwd": django_settings.BASE_DIR, "env": environment, "text": True, "start_new_session": True}
        with (
            log.open("w") as output,
            subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options) as process,  # noqa: S603
        ):
            yield process
            process.kill()

    @staticmethod
    def migrate(environment: dict[str, str]) -> None:
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=django_settings.BASE_DIR, env=environment, check=True)  # noqa: S603

    @staticmethod
    def serves(port: int) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    def test_both_run_and_both_end_when_told(
        self, environment: dict[str, str], port: int, log: Path, request: pytest.FixtureRequest
    ) -> None:
        self.migrate(environment)
        run: subprocess.Popen[str] = request.getfixturevalue("run")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self.serves(port) and "Starting worker" in log.read_text()):
            assert run.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGINT)  # As a terminal does for Ctrl+C.
        assert run.wait(PATIENCE_SECONDS) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
        assert not self.serves(port)

    def test_when_one_dies_the_other_ends(self, run: subprocess.Popen[str], port: int, log: Path) -> None:
        """Without its tables the worker cannot live."""
        assert run.wait(PATIENCE_SECONDS) == 1, log.read_text()
        assert "no such table" in log.read_text()
        assert not self.serves(port)

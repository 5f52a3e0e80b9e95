"""Background work: queues, abandoned tasks, old tasks, and web server and worker as one service."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import requests
from django.conf import settings as django_settings
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import User
from apps.background.queue import (
    BEHIND_AFTER,
    MAX_TASK_STARTS,
    TASK_LEASE,
    TASK_RETENTION,
    delete_old_tasks,
    is_behind,
    requeue_abandoned,
    requeue_begun,
)
from apps.voices.deletion import RETRY_PRIORITY, enqueue_deletions, finish_deletion
from apps.webhooks.models import Webhook, WebhookDelivery, WebhookEvent
from apps.webhooks.services import DELIVERY_RETENTION, create_webhook, delete_old_deliveries, notify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from django.test import Client

LONG_AGO = TASK_LEASE + timedelta(minutes=1)
PATIENCE_SECONDS = 60


def begin(*, ago: timedelta, starts: int = 1, **values: Any) -> DBTaskResult[..., Any]:
    """Return a task that a worker began that long `ago`."""
    queued = finish_deletion.enqueue("00000000-0000-4000-8000-000000000000")
    begun = {"status": "RUNNING", "started_at": timezone.now() - ago, "worker_ids": ["dead"] * starts}
    DBTaskResult.objects.filter(pk=queued.id).update(**begun | values)
    return DBTaskResult.objects.get(pk=queued.id)


@pytest.mark.django_db
class TestAbandoned:
    def test_a_task_of_a_dead_worker_is_queued_again(self) -> None:
        task = begin(ago=LONG_AGO)
        assert requeue_abandoned() == 1
        task.refresh_from_db()
        assert task.status == "READY"

    def test_a_task_that_may_still_run_is_left_alone(self) -> None:
        task = begin(ago=TASK_LEASE / 2)
        assert requeue_abandoned() == 0
        task.refresh_from_db()
        assert task.status == "RUNNING"

    def test_a_worker_that_ends_queues_only_its_own_tasks_again(self) -> None:
        mine, other = begin(ago=timedelta(0)), begin(ago=timedelta(0), worker_ids=["dead", "alive"])
        requeue_begun(["dead"])
        for task in (mine, other):
            task.refresh_from_db()
        assert (mine.status, other.status) == ("READY", "RUNNING")

    def test_a_failed_task_is_not_queued_again(self) -> None:
        begin(ago=LONG_AGO, status="FAILED", exception_class_path="builtins.ValueError")
        assert requeue_abandoned() == 0

    def test_a_task_that_kills_every_worker_is_given_up(self) -> None:
        task = begin(ago=LONG_AGO, starts=MAX_TASK_STARTS)
        assert requeue_abandoned() == 0
        task.refresh_from_db()
        assert task.status == "FAILED"
        assert "never finished" in task.traceback


@pytest.mark.django_db
class TestQueues:
    def test_everybodys_first_voice_comes_first(self) -> None:
        many, one = [uuid4() for _number in range(200)], uuid4()
        enqueue_deletions(many)
        enqueue_deletions([one])
        order = [task.args_kwargs["args"][0] for task in DBTaskResult.objects.ready()]
        assert order[:3] == [str(many[0]), str(one), str(many[1])]

    def test_retries_come_after_new_tasks(self) -> None:
        new = uuid4()
        retried = DBTaskResult.objects.get(pk=finish_deletion.using(priority=RETRY_PRIORITY).enqueue("x").id)
        DBTaskResult.objects.filter(pk=retried.pk).update(run_after=timezone.now() - timedelta(hours=1))
        enqueue_deletions([new])
        assert [task.args_kwargs["args"][0] for task in DBTaskResult.objects.ready()] == [str(new), "x"]

    def test_work_that_nobody_does_is_noticed(self) -> None:
        finish_deletion.enqueue("x")
        assert not is_behind()
        DBTaskResult.objects.update(enqueued_at=timezone.now() - BEHIND_AFTER)
        assert is_behind()
        DBTaskResult.objects.update(run_after=timezone.now())
        assert not is_behind()

    def test_messages_that_nobody_sends_are_noticed_unless_their_receiver_fails(self, alice: User) -> None:
        create_webhook(owner=alice, url="https://example.org/")
        notify(owner_id=alice.pk, event=WebhookEvent.TURN_DONE, data={})
        assert not is_behind()
        WebhookDelivery.objects.update(next_try_at=timezone.now() - BEHIND_AFTER)
        assert is_behind()
        Webhook.objects.update(failures=1)
        assert not is_behind()


def test_old_tasks_and_deliveries_are_deleted_and_failed_tasks_stay(alice: User) -> None:
    old = timezone.now() - TASK_RETENTION - timedelta(days=1)
    done = begin(ago=LONG_AGO, status="SUCCESSFUL", finished_at=old)
    failed = begin(ago=LONG_AGO, status="FAILED", finished_at=old, exception_class_path="builtins.ValueError")
    create_webhook(owner=alice, url="https://example.org/")
    for status in WebhookDelivery.Status:
        notify(owner_id=alice.pk, event=WebhookEvent.TURN_DONE, data={})
        newest = WebhookDelivery.objects.latest("created_at")
        long_ago = timezone.now() - DELIVERY_RETENTION - timedelta(days=1)
        WebhookDelivery.objects.filter(pk=newest.pk).update(status=status, created_at=long_ago)
    delete_old_tasks()
    delete_old_deliveries()
    assert not DBTaskResult.objects.filter(pk=done.pk).exists()
    assert DBTaskResult.objects.filter(pk=failed.pk).exists()
    assert [delivery.status for delivery in WebhookDelivery.objects.all()] == ["pending"]


class TestAdmin:
    @pytest.fixture
    def staff(self, admin_client: Client) -> Client:
        return admin_client

    def test_failed_tasks_are_listed_and_can_be_run_again(self, staff: Client) -> None:
        failed = begin(ago=LONG_AGO, status="FAILED", exception_class_path="builtins.ValueError", traceback="Oh!")
        path = reverse("admin:django_tasks_database_dbtaskresult_changelist")
        assert failed in staff.get(path + "?status__exact=FAILED").context["cl"].result_list
        staff.post(path, {"action": "run_again", "_selected_action": [str(failed.pk)]})
        failed.refresh_from_db()
        assert failed.status == "READY"

    def test_webhooks_deliveries_and_usage_are_listed_without_secrets(self, staff: Client, alice: User) -> None:
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
        """The environment of a separate site without model weights, which suffices to serve pages."""
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
        """The output of both processes."""
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

    def test_both_processes_run_and_end_on_ctrl_c(
        self, environment: dict[str, str], port: int, log: Path, request: pytest.FixtureRequest
    ) -> None:
        self.migrate(environment)
        run: subprocess.Popen[str] = request.getfixturevalue("run")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self.serves(port) and "Starting worker" in log.read_text()):
            assert run.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGINT)  # Ctrl+C in a terminal does this.
        assert run.wait(PATIENCE_SECONDS) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
        assert not self.serves(port)

    def test_if_one_process_dies_the_other_ends(self, run: subprocess.Popen[str], port: int, log: Path) -> None:
        """Without its tables, the worker ends."""
        assert run.wait(PATIENCE_SECONDS) == 1, log.read_text()
        assert "no such table" in log.read_text()
        assert not self.serves(port)

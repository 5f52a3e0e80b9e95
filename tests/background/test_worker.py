"""`manage.py worker`: which queues it serves, and when it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import responses
from django.conf import settings
from django.core.management import CommandError, call_command
from django_tasks_db.models import DBTaskResult

from apps.background.workers import THREADS, Workers
from apps.conversations.reports import mail_report
from apps.privacy.erasures import erase_account
from apps.voices.deletion import finish_deletion
from apps.webhooks.models import WebhookDelivery
from apps.webhooks.services import create_webhook
from tests.client import wait_until
from tests.processes import OPERATED, migrated_database
from tests.webhooks.conftest import PUBLIC, notify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apps.accounts.models import User

# Starts two workers, writes their process ids, and waits until it is killed.
PARENT = """
import subprocess, sys
command = [sys.executable, "manage.py", "worker", "--no-startup-delay", "--no-reload"]
workers = [subprocess.Popen([*command, *more]) for more in ([], ["--with-parent"])]
print(*(worker.pid for worker in workers), flush=True)
sys.stdin.read()
"""


def serve(*queues: str) -> None:
    """Do what is due in `queues`, and end."""
    Workers(queues, interval=0, batch=True, startup_delay=False).run()


@responses.activate
@pytest.mark.usefixtures("real_transactions")
def test_it_serves_the_queues_that_it_is_told(alice: User) -> None:
    responses.post(PUBLIC, status=200)
    notify(create_webhook(owner=alice, url=PUBLIC))
    for task in (finish_deletion, erase_account, mail_report):
        task.enqueue(str(uuid4()))

    def waiting() -> set[str]:
        return set(DBTaskResult.objects.ready().values_list("queue_name", flat=True))

    assert waiting() == {"urgent", "erasures", "default"}
    serve("urgent")
    assert waiting() == {"erasures", "default"}
    assert WebhookDelivery.objects.get().status == "pending"
    serve("webhooks", "default")
    assert waiting() == {"erasures"}
    assert WebhookDelivery.objects.get().status == "delivered"
    serve(*THREADS)
    assert not waiting()


@pytest.mark.django_db
def test_a_queue_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CommandError, match="no queue 'hooks'"):
        call_command("worker", queue_name="urgent,hooks")


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has started a worker without and one with --with-parent."""
    database = shutil.copy(migrated_database(), tmp_path / "db.sqlite3")
    environment = os.environ | OPERATED | {"DATABASE_URL": f"sqlite:///{database}", "MODELS_DIR": str(tmp_path)}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", PARENT],
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        yield process
        process.kill()


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended may stay as a zombie until somebody asks for its result."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_it_outlives_the_process_that_started_it_unless_it_is_told_not_to(
    parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert parent.stdout
    plain, with_parent = map(int, parent.stdout.readline().split())
    log = tmp_path / "log"
    try:
        wait_until(lambda: log.read_text().count("queues=urgent") == 2 * THREADS["urgent"])
        parent.kill()
        parent.wait()
        wait_until(lambda: not is_running(with_parent))
        assert is_running(plain)
    finally:
        os.kill(plain, signal.SIGTERM)
    wait_until(lambda: not is_running(plain))
    assert "Traceback" not in log.read_text()

"""Schemathesis tests the running application against its OpenAPI description."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.core.files.base import ContentFile

from apps.accounts.services import create_api_token
from apps.conversations.models import Conversation
from apps.core.api_examples import A_CONSENT, A_CONVERSATION, A_DELIVERY, A_SAMPLE, A_TURN, A_VOICE, A_WEBHOOK
from apps.webhooks.models import Webhook, WebhookDelivery
from tests.factories import SAMPLE, make_consent, make_turn, make_voice

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
REVOKE_TOKEN = "tokens_destroy"
SECONDS = 600


@pytest.fixture
def examples(alice: User, provider: FakeProvider) -> None:
    """Create the rows that the examples in the description name."""
    make_consent(alice, pk=A_CONSENT)
    voice = make_voice(alice, provider.add_voice("Jane"), pk=A_VOICE, name="Jane")
    voice.samples.all().delete()
    file = ContentFile(SAMPLE, name="sample.flac")
    voice.samples.create(pk=A_SAMPLE, owner=alice, file=file, seconds=7, rms_db=-25, peak_db=-5, sha256="0" * 64)
    conversation = Conversation.objects.create(pk=A_CONVERSATION, owner=alice, voice=voice)
    make_turn(conversation, pk=A_TURN)
    webhook = Webhook.objects.create(pk=A_WEBHOOK, owner=alice, url="https://example.org/")
    WebhookDelivery.objects.create(pk=A_DELIVERY, owner=alice, webhook=webhook, event="turn.done", body="{}")


def run_schemathesis(server: Server, token: str, folder: Path, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - all arguments are our own
        [
            *(str(SCHEMATHESIS), "--config-file", str(CONFIG), "run", f"{server.url}/api/schema/", "--url", server.url),
            *("--header", f"Authorization: Bearer {token}", "--checks", "all", "--warnings", "off", *arguments),
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(settings.BASE_DIR), "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.mark.timeout(SECONDS)
def test_all_responses_match_the_description(
    server: Server, alice: User, alice_token: str, examples: None, tmp_path: Path
) -> None:
    some = ("--phases", "examples,fuzzing,stateful", "--max-examples", "2")
    run_schemathesis(server, alice_token, tmp_path, *some, "--exclude-operation-id", REVOKE_TOKEN)
    token = create_api_token(owner=alice, name="to be revoked")
    run_schemathesis(server, token, tmp_path, *some, "--include-operation-id", REVOKE_TOKEN)

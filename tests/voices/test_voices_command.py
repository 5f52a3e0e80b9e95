"""`manage.py voices check`: voices that their provider lacks, and voices there that no row has."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command

from apps.voices.models import VoiceProfile, VoiceTag
from tests.factories import make_voice
from tests.fakes.elevenlabs import VOICES_SEARCH, elevenlabs_error

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("real_transactions")


def check(*options: str) -> tuple[str, int]:
    """Return what the command prints, and its exit code."""
    output = StringIO()
    try:
        call_command("voices", "check", *options, stdout=output)
    except CommandError as error:
        return output.getvalue(), error.returncode
    return output.getvalue(), 0


def as_json(*options: str) -> tuple[dict[str, Any], int]:
    printed, code = check("--json", *options)
    answer: dict[str, Any] = json.loads(printed)
    return answer, code


@pytest.fixture
def present(alice: User, remote_engines: FakeProvider) -> VoiceProfile:
    return make_voice(alice, remote_engines.add_voice("Jane"))


def test_all_is_well(present: VoiceProfile) -> None:
    printed, code = check()
    assert code == 0
    assert "0 missing, 0 orphan, 1 present" in printed
    assert present.voice_id not in printed
    assert present.voice_id in check("--all")[0]


def test_a_missing_voice(alice: User, present: VoiceProfile) -> None:
    missing = make_voice(alice, "gone")
    answer, code = as_json()
    assert code == 1
    assert answer["counts"] == {"missing": 1, "orphan": 0, "present": 1}
    assert answer["voices"] == [
        {
            "state": "missing",
            "provider": "elevenlabs",
            "voice_id": "gone",
            "voice": str(missing.pk),
            "owner": "alice",
        }
    ]


def test_an_orphan(alice: User, present: VoiceProfile, remote_engines: FakeProvider) -> None:
    lost = VoiceProfile(owner=alice, name="Lost")
    VoiceTag.objects.create(pk=lost.pk, provider="elevenlabs")
    voice_id = remote_engines.add_voice(lost.provider_name)
    remote_engines.add_voice("Somebody else's")
    answer, code = as_json()
    assert code == 1
    assert [(row["state"], row["voice_id"]) for row in answer["voices"]] == [("orphan", voice_id)]
    assert voice_id in remote_engines.voices


def test_a_provider_that_does_not_answer(present: VoiceProfile, remote_engines: FakeProvider) -> None:
    remote_engines.fail_next(VOICES_SEARCH, status=401, body=elevenlabs_error("invalid_api_key"))
    answer, code = as_json()
    assert code == 3
    assert list(answer["unanswered"]) == ["elevenlabs"]
    assert answer["counts"]["missing"] == 0


def test_only_one_provider(alice: User, present: VoiceProfile) -> None:
    make_voice(alice, "gone")
    assert check("--provider", "local")[1] == 0

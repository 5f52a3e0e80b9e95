"""Made-up rows to measure and to look at the site with: many people with voices, conversations and background work.

The same number of turns makes the same rows on the same day. There are no files: no question and no answer has sound.
The users cannot sign in until somebody gives them a password, and no provider knows the voices.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate, islice
from random import Random
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.db.models import F, Max, Min, OuterRef, QuerySet, Subquery
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult, get_date_max

from apps.accounts.models import User
from apps.conversations.models import Conversation, Turn
from apps.core.digests import digest_of
from apps.usage.models import UsageRecord
from apps.voices.models import Consent, VoiceProfile, VoiceSample
from apps.webhooks.models import Webhook, WebhookDelivery, WebhookEvent

TURNS_PER_USER = 100
TURNS_PER_CONVERSATION = 5
VOICES_PER_USER = 3
DELIVERIES_PER_TURN = 2
BUSIEST_SHARE = 0.15  # Of all turns, those of the first user.
LONGEST_SHARE = 0.015  # Of all turns, those of that user's longest conversation.
DAYS = 365
MESSAGE_DAYS = 25  # Messages to webhooks, and finished tasks, are kept for a shorter time.
TASK_DAYS = 13
BATCH = 2000

COMMON_WORD = "harbour"  # In every tenth turn.
RARE_WORD = "marmalade"  # In one turn of RARE_EVERY.
RARE_EVERY = 20_000
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "ze"]
WORDS = [f"{a}{b}{c}" for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES[:8]]
# As in a language, the second word is half as frequent as the first one, and so on.
FREQUENCIES = list(accumulate(1 / rank for rank in range(1, len(WORDS) + 1)))
FAILURES = [("hear", "provider_timeout"), ("think", "provider_quota_exhausted"), ("speak", "provider_unavailable")]


class Seeding:
    """Writes the rows for a number of turns. `say` is told what was written."""

    def __init__(self, turns: int, say: Callable[[str], object]) -> None:
        self._turns = turns
        self._say = say
        self._random = Random(turns)  # noqa: S311 - the same rows each time, and nothing secret
        self._now = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)

    def write(self) -> None:
        """Write all rows, each kind after those that it points to."""
        users = self._store(User, self._users())
        self._store(EmailAddress, (EmailAddress(user=user, email=user.email, verified=True) for user in users))
        consents = self._store(Consent, map(self._consent, users))
        voices = self._store(VoiceProfile, self._voices(users, consents))
        self._store(VoiceSample, map(self._sample, voices))
        conversations = self._store(Conversation, self._conversations(users, voices))
        webhooks = self._store(Webhook, (self._webhook(user) for user in users))
        turns = self._store_of(Turn, self._all_turns(conversations), keep=lambda turn: (turn.pk, turn.owner_id))
        self._store_of(UsageRecord, (self._usage(*turn) for turn in turns))
        messages = (self._delivery(webhooks, *turn) for turn in turns for _number in range(DELIVERIES_PER_TURN))
        self._store_of(WebhookDelivery, messages)
        self._store_of(DBTaskResult, map(self._task, range(self._turns)))
        _set_times()

    def _store(self, model: Any, rows: Iterable[Any]) -> list[Any]:
        """Write rows in batches, and return them."""
        return self._store_of(model, rows, keep=lambda row: row)

    def _store_of(self, model: Any, rows: Iterable[Any], keep: Callable[[Any], Any] = lambda _row: None) -> list[Any]:
        """Write rows in batches, and return what `keep` returns of each: a million whole rows would take gigabytes."""
        waiting = iter(rows)
        kept: list[Any] = []
        while batch := list(islice(waiting, BATCH)):
            kept += map(keep, model.objects.bulk_create(batch))
        self._say(f"{len(kept)} × {model._meta.label}")
        return kept

    def _users(self) -> Iterator[User]:
        password = make_password(None)
        for number in range(max(1, self._turns // TURNS_PER_USER)):
            name = f"seed-{number}"
            joined = self._now - timedelta(days=DAYS, minutes=number)
            yield User(username=name, email=f"{name}@example.org", password=password, date_joined=joined)

    def _consent(self, user: User) -> Consent:
        given = user.date_joined
        return Consent(
            id=self._uuid(),
            owner=user,
            method=Consent.Method.ATTESTED,
            statement="Made-up: no person spoke.",
            language="en",
            given_at=given,
            valid_until=self._now + timedelta(days=DAYS),
            retain_until=self._now + timedelta(days=2 * DAYS),
        )

    def _voices(self, users: list[User], consents: list[Consent]) -> Iterator[VoiceProfile]:
        for user, consent in zip(users, consents, strict=True):
            for number in range(VOICES_PER_USER):
                yield VoiceProfile(
                    id=self._uuid(),
                    owner=user,
                    consent=consent,
                    name=f"Voice {number + 1}",
                    provider=VoiceProfile.Provider.LOCAL,
                    voice_id=self._uuid().hex,
                    status=VoiceProfile.Status.READY,
                    is_default=number == 0,
                    last_used_at=self._time(DAYS),
                    spoken_characters=self._random.randint(0, 200_000),
                )

    def _sample(self, voice: VoiceProfile) -> VoiceSample:
        digest = digest_of(str(voice.pk))
        return VoiceSample(owner_id=voice.owner_id, voice=voice, seconds=60, rms_db=-23, peak_db=-3, sha256=digest)

    def _conversations(self, users: list[User], voices: list[VoiceProfile]) -> Iterator[Conversation]:
        count = max(1, self._turns // TURNS_PER_CONVERSATION)
        busy = max(1, round(count * BUSIEST_SHARE))
        for number in range(count):
            owner = 0 if number < busy else number % len(users)
            voice = voices[owner * VOICES_PER_USER + number % VOICES_PER_USER]
            title = "" if number % 2 else self._text(3)
            yield Conversation(id=self._uuid(), owner=users[owner], voice=voice, title=title, language="en")

    def _webhook(self, user: User) -> Webhook:
        address = f"https://example.org/{user.username}"
        return Webhook(id=self._uuid(), owner=user, url=address, is_active=False, salt=digest_of(address)[:16])

    def _all_turns(self, conversations: list[Conversation]) -> Iterator[Turn]:
        longest = max(1, round(self._turns * LONGEST_SHARE))
        for number in range(self._turns):
            is_long = number % max(1, self._turns // longest) == 0
            conversation = conversations[0 if is_long else number % len(conversations)]
            yield self._turn(number, conversation)

    def _turn(self, number: int, conversation: Conversation) -> Turn:
        question = self._text(self._random.randint(4, 14))
        reply = self._text(self._random.randint(10, 70))
        reply += f" {COMMON_WORD}" * (number % 10 == 0) + f" {RARE_WORD}" * (number % RARE_EVERY == RARE_EVERY // 2)
        first_audio = self._random.randint(700, 1600)
        turn = Turn(
            id=self._uuid(),
            owner_id=conversation.owner_id,
            conversation=conversation,
            voice_id=conversation.voice_id,
            status=Turn.Status.SPOKEN,
            transcript=question,
            language="en",
            reply=reply,
            heard_by=("openai", "elevenlabs-live")[number % 2],
            first_word_ms=first_audio - 300,
            first_audio_ms=first_audio,
            total_ms=first_audio + 40 * len(reply),
            created_at=self._time(DAYS),
        )
        if number % 33 == 0:
            stage, code = FAILURES[number // 33 % len(FAILURES)]
            turn.status, turn.failed_stage, turn.error_code = Turn.Status.FAILED, stage, code
        return turn

    def _usage(self, turn: uuid.UUID, owner_id: int) -> UsageRecord:
        return UsageRecord(
            owner_id=owner_id,
            kind=UsageRecord.Kind.TURN,
            reference=turn,
            spoken_characters=self._random.randint(50, 500),
            tokens_read=self._random.randint(100, 900),
            tokens_written=self._random.randint(20, 120),
            cost_micros=self._random.randint(100, 9000),
        )

    def _delivery(self, webhooks: list[Webhook], turn: uuid.UUID, owner_id: int) -> WebhookDelivery:
        webhook = webhooks[owner_id - webhooks[0].owner_id]
        return WebhookDelivery(
            id=self._uuid(),
            owner_id=webhook.owner_id,
            webhook=webhook,
            event=WebhookEvent.TURN_DONE,
            body=json.dumps({"type": WebhookEvent.TURN_DONE, "data": {"turn_id": str(turn), "status": "spoken"}}),
            status=WebhookDelivery.Status.DELIVERED,
            tries=1,
            last_try_at=self._time(MESSAGE_DAYS),
            response_status=204,
        )

    def _task(self, number: int) -> DBTaskResult[..., Any]:
        begun = self._time(TASK_DAYS)
        return DBTaskResult(
            id=self._uuid(),
            status=TaskResultStatus.SUCCESSFUL,
            started_at=begun,
            finished_at=begun + timedelta(milliseconds=40),
            args_kwargs={"args": [str(self._uuid())], "kwargs": {}},
            task_path="apps.voices.deletion.finish_deletion",
            worker_ids=[f"seed-{number % 8}"],
            queue_name="urgent",
            backend_name="default",
            run_after=get_date_max(),
            exception_class_path="",
            traceback="",
        )

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(WORDS, cum_weights=FREQUENCIES, k=words)).capitalize()

    def _time(self, days: int) -> datetime:
        return self._now - timedelta(seconds=self._random.randint(0, days * 86_400))

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)


def _set_times() -> None:
    """Set the times that the models take from the clock when a row is made."""
    turns = Turn.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
    first, last = turns.annotate(at=Min("created_at")).values("at"), turns.annotate(at=Max("created_at")).values("at")
    with_turns = Conversation.objects.filter(pk__in=Turn.objects.order_by().values("conversation"))
    with_turns.update(created_at=Subquery(first), updated_at=Subquery(last))
    joined: QuerySet[Any] = User.objects.filter(pk=OuterRef("owner_id")).values("date_joined")
    VoiceProfile.objects.update(created_at=Subquery(joined))
    asked: QuerySet[Any] = Turn.objects.filter(pk=OuterRef("reference")).order_by().values("created_at")
    UsageRecord.objects.update(created_at=Subquery(asked))
    WebhookDelivery.objects.update(created_at=F("last_try_at"))
    DBTaskResult.objects.update(enqueued_at=F("started_at"))

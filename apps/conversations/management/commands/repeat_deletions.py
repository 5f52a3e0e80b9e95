from __future__ import annotations

import json
from argparse import ArgumentParser, FileType
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from django.core.management.base import BaseCommand
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.conversations.models import Conversation, Share
from apps.conversations.services import delete_conversation
from apps.conversations.shares import revoke_share
from apps.privacy.erasures import request_erasure
from apps.privacy.models import Erasure
from apps.speech.base import ProviderError
from apps.voices.consent import withdraw_consent
from apps.voices.deletion import delete_voice
from apps.voices.models import Consent, VoiceProfile
from apps.voices.suspension import suspend_voice

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Repeat:
    """How to repeat what a line of the log says: the field with the row's id, the rows that need it, the action."""

    field: str
    rows: Callable[[], QuerySet[Any]]
    act: Callable[[Any], object]


REPEATS = {
    "Voice deleted": Repeat("voice", VoiceProfile.objects.all, lambda row: delete_voice(voice=row)),
    "Voice suspended": Repeat(
        "voice", lambda: VoiceProfile.objects.filter(suspended_at=None), lambda row: suspend_voice(voice=row)
    ),
    "Conversation deleted": Repeat(
        "conversation", Conversation.objects.all, lambda row: delete_conversation(conversation=row)
    ),
    "A shared link was revoked": Repeat("share", Share.objects.all, lambda row: revoke_share(share=row)),
    "A consent was withdrawn": Repeat(
        "consent", lambda: Consent.objects.filter(withdrawn_at=None), lambda row: withdraw_consent(consent=row)
    ),
    "Erasure requested": Repeat(
        "user", lambda: User.objects.filter(erasure=None), lambda row: request_erasure(user=row)
    ),
}
ENDS = {"Erasure cancelled": "Erasure requested", "Voice no longer suspended": "Voice suspended"}


class Command(BaseCommand):
    help = "After a restore: repeat the deletions, withdrawals, erasures and suspensions that the site's log names."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("log", type=FileType(encoding="utf-8"), help='the log with its JSON lines; "-" reads them')
        parser.add_argument(
            "--since", type=datetime.fromisoformat, required=True, help="when the backup was made, as `restore` prints"
        )
        parser.add_argument("--dry-run", action="store_true", help="only print what would be repeated")

    def handle(self, *_args: Any, log: IO[str], since: datetime, dry_run: bool, **_options: Any) -> None:
        with log:
            lines = [line for line in _json_lines(log) if _time_of(line) >= since]
        count = sum(self._repeat(line, dry_run=dry_run) for line in _to_repeat(lines))
        if not dry_run:
            _hasten_finished_erasures(lines)
        self.stdout.write(f"{count} to do." if dry_run else f"{count} repeated.")

    def _repeat(self, line: Line, *, dry_run: bool) -> bool:
        """Return whether the line had to be repeated."""
        repeat = REPEATS[line["message"]]
        row = repeat.rows().filter(pk=line[repeat.field]).first()
        if row is None:
            return False
        outcome = "" if dry_run else _outcome(repeat, row)
        self.stdout.write(f"{line['time']} {line['message']}: {repeat.field} {line[repeat.field]}{outcome}")
        return True


def _outcome(repeat: Repeat, row: Any) -> str:
    try:
        repeat.act(row)
    except ProviderError as error:  # The row says that its deletion has begun: the worker goes on.
        return f" ({error.code}; the worker tries again)"
    return ""


def _json_lines(log: Iterable[str]) -> Iterator[Line]:
    for text in log:
        try:
            line = json.loads(text[text.index("{") :])
        except ValueError:  # Another program's line, or half of one.
            continue
        if {"time", "message"} <= line.keys():
            yield line


def _time_of(line: Line) -> datetime:
    return datetime.strptime(line["time"], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC)


def _to_repeat(lines: list[Line]) -> list[Line]:
    """Return what still held at the end of the log: no erasure that was cancelled, and no suspension that has ended."""
    kept: dict[tuple[str, Any], Line] = {}
    for line in lines:
        message = ENDS.get(line["message"], line["message"])
        if message in REPEATS:
            subject = (message, line[REPEATS[message].field])
            kept.pop(subject, None)
            if message == line["message"]:
                kept[subject] = line
    return list(kept.values())


def _hasten_finished_erasures(lines: list[Line]) -> None:
    """Begin the erasures at once that were already done: nobody can still cancel them."""
    done = {line["erasure"] for line in lines if line["message"] == "Erasure done"}
    users = {line["user"] for line in lines if line["message"] == "Erasure requested" and line["erasure"] in done}
    again = Erasure.objects.filter(Q(pk__in=done) | Q(user__in=users), state=Erasure.State.WAITING)
    again.update(due_at=timezone.now(), next_try_at=timezone.now())

from __future__ import annotations

import json as json_format
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.tables import table
from apps.voices.models import VoiceProfile
from apps.voices.provider_check import check_at_provider
from apps.voices.reconciling import voices_without_row

DIFFERENT, UNANSWERED = 1, 3  # Exit codes; 2 is argparse's.
# The worker gives a voice that was made for such a row to it, or deletes it.
WAITING = (VoiceProfile.Status.PENDING, VoiceProfile.Status.FAILED)


class Command(BaseCommand):
    help = "Compare voices with their providers."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        check = commands.add_parser(
            "check",
            help="look for every voice at its provider",
            description="Look for every voice at its provider, and for orphans: voices there that this site made, and "
            f"that no row has. Deletes nothing. Exit codes: 0 all is well, {DIFFERENT} voices are missing or orphans "
            f"exist, {UNANSWERED} a provider did not answer.",
        )
        check.add_argument("--provider", choices=VoiceProfile.Provider.values, help="only the voices of this provider")
        check.add_argument("--all", action="store_true", help="list the voices that are present as well")
        check.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *_args: Any, provider: str | None, all: bool, json: bool, **_options: Any) -> None:  # noqa: A002 - the option's name
        voices = VoiceProfile.objects.filter(status=VoiceProfile.Status.READY).select_related("owner")
        if provider:
            voices = voices.filter(provider=provider)
        checked = check_at_provider(voices=list(voices))
        rows = [_row("missing", voice) for voice in [*checked.missing, *checked.without_id]]
        rows += [
            {"state": "orphan", "provider": each, "voice_id": found.voice_id, "voice": "", "owner": ""}
            for each, found, row in voices_without_row()
            if provider in (None, each) and (row is None or row.status not in WAITING)
        ]
        rows += [_row("present", voice) for voice in checked.present] if all else []
        counts = {state: sum(row["state"] == state for row in rows) for state in ("missing", "orphan")}
        counts["present"] = len(checked.present)
        if json:
            answer = {"counts": counts, "unanswered": checked.unanswered, "voices": rows}
            self.stdout.write(json_format.dumps(answer, indent=2))
        else:
            self.stdout.write(
                table([("state", "provider", "voice_id", "voice", "owner"), *(list(row.values()) for row in rows)])
            )
            self.stdout.write(", ".join(f"{count} {state}" for state, count in counts.items()))
        if checked.unanswered:
            problems = "; ".join(f"{name}: {message}" for name, message in checked.unanswered.items())
            raise CommandError(f"Not asked: {problems}", returncode=UNANSWERED)
        if counts["missing"] or counts["orphan"]:
            text = "Owners clone missing voices again; manage.py reconcile deletes orphans."
            raise CommandError(text, returncode=DIFFERENT)


def _row(state: str, voice: VoiceProfile) -> dict[str, str]:
    return {
        "state": state,
        "provider": voice.provider,
        "voice_id": voice.voice_id,
        "voice": str(voice.pk),
        "owner": voice.owner.get_username(),
    }

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from apps.conversations import services
from apps.conversations.marking import open_answer_mp3
from apps.conversations.models import Turn
from apps.core.errors import UserError
from apps.speech.base import AudioError, ProviderError
from apps.voices.consent import record_attestation
from apps.voices.models import Consent, VoiceProfile
from apps.voices.services import clone_voice

DEMO_DIR = Path(__file__).resolve().parents[2] / "demo"
USERNAME = "demo"
VOICE_NAME = "Demo voice"
STATEMENT = (
    "The sample is a LibriVox recording, which its reader has placed in the public domain. It is cloned only to show "
    "how this software works."
)


class Command(BaseCommand):
    help = "Clone a voice from a shipped recording, ask it a shipped question, and write the spoken answer as an MP3."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--question", type=Path, default=DEMO_DIR / "question.flac", help="another spoken question")
        parser.add_argument("--output", type=Path, default=settings.VAR_DIR / "demo-answer.mp3")

    def handle(self, *_args: Any, question: Path, output: Path, **_options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("fetch_models", if_used=True)
        try:
            voice = self._voice(self._demo_user())
            turn = self._ask(voice, question)
        except (UserError, AudioError, ProviderError) as error:
            raise CommandError(error.message) from None
        self._write_answer(turn, output)

    def _demo_user(self) -> User:
        user, created = User.objects.get_or_create(username=USERNAME)
        if created:
            user.set_unusable_password()
            user.save()
        self.stdout.write(f"› {'Signed up' if created else 'Found'} the user “{USERNAME}”")
        return user

    def _voice(self, user: User) -> VoiceProfile:
        """Return the demo voice. Clone it only once, because a provider's plan limits the number of voices."""
        voices = VoiceProfile.objects.for_user(user).filter(name=VOICE_NAME, provider=settings.TEXT_TO_SPEECH)
        voice = voices.that_speak().first()
        if voice is None:
            self.stdout.write("› Cloning a voice from 27 seconds of a recorded reader")
            sample = (DEMO_DIR / "sample.flac").read_bytes()
            voice = clone_voice(owner=user, name=VOICE_NAME, files=[sample], consent=self._consent(user))
        self.stdout.write(f"› The voice “{voice.name}” is ready: {voice.voice_id} ({voice.get_provider_display()})")
        return voice

    def _consent(self, user: User) -> Consent:
        """Return an attested consent: the reader of the recording cannot read a challenge aloud."""
        consents = Consent.objects.for_user(user).valid().filter(method=Consent.Method.ATTESTED)
        return consents.first() or record_attestation(
            owner=user, statement=STATEMENT, language="en", purpose="to show how this software works"
        )

    def _ask(self, voice: VoiceProfile, question: Path) -> Turn:
        self.stdout.write(f"› Asking {question.name}")
        conversation = services.start_conversation(owner=voice.owner, voice=voice)
        recording = services.read_question(owner=voice.owner, data=question.read_bytes())
        turn = services.answer(services.new_turn(conversation=conversation, voice=voice, recording=recording))
        self.stdout.write(f"Heard: {turn.transcript}")
        self.stdout.write(f"Said:  {turn.reply}")
        if turn.status == Turn.Status.FAILED:
            raise UserError(turn.error_code, turn.error_message)
        return turn

    def _write_answer(self, turn: Turn, output: Path) -> None:
        output.parent.mkdir(parents=True, exist_ok=True)
        with open_answer_mp3(turn=turn) as mp3:
            output.write_bytes(mp3.read())
        self.stdout.write(f"› The answer, {turn.answer_seconds:.1f} seconds, is in {output}")

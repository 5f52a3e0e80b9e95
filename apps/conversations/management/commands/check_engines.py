from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseFailure

from apps.accounts.models import User
from apps.conversations import engine_check
from apps.conversations.engine_check import Outcome, Trial
from apps.conversations.management.commands.demo import DEMO_DIR, USERNAME
from apps.speech import availability, configs, registry
from apps.speech.addresses import host_and_port
from apps.speech.audio.decoding import decode
from apps.speech.base import OPENAI, OPENAI_LIVE, POCKET, SERVER, ProviderError, Recording, Stage
from apps.speech.local import pocket_bundle, pocket_report
from apps.voices.models import VoiceProfile

SAMPLE_SECONDS = 60
MAX_NOTE_CHARACTERS = 200
MAX_SHOWN_MODELS = 30
MODEL_VARIABLES: dict[Stage, str] = {"hear": "STT_MODEL", "think": "CHAT_MODEL"}
DEADLINES: dict[Stage, str] = {
    "hear": "HEAR_SECONDS",
    "think": "FIRST_TOKEN_SECONDS",
    "speak": "FIRST_AUDIO_SECONDS",
    "clone": "CLONE_SECONDS",
}
ADVICE = {
    "provider_unreachable": "Nothing answers there. Start the server, or correct {prefix}_BASE_URL. In a container, "
    "localhost is the container itself.",
    "provider_key_invalid": "The server refuses the key. Correct {prefix}_API_KEY.",
    "provider_quota_exhausted": "The account has no credit left.",
    "provider_permission_missing": "The key is valid and lacks a permission. Give it one at the service: ElevenLabs "
    "names them Text to Speech, Voices (write) and Models; OpenAI, Model capabilities.",
    "provider_payment_failed": "The service is waiting for a payment. Settle the invoice there.",
    "provider_plan_insufficient": "The account or its key may not do this.",
    "provider_model_missing": "The server does not have this model, or its API is at another path: most addresses end "
    "in /v1. Set {model}, or correct {prefix}_BASE_URL.",
    "provider_timeout": "It took too long. A server that loads its model at the first call may be quicker now: try "
    "again, or raise {deadline}.",
    "provider_answer_invalid": "The answer is not one of this API. Correct {prefix}_BASE_URL: most end in /v1.",
    "provider_content_refused": "The service's rules do not allow this text.",
    "provider_refused": "The server refuses the request; its own log says why.",
    "provider_audio_refused": "The server refuses the recording; its own log says why.",
    "provider_failed": "The server fails; its own log says why.",
    "models_missing": "Run: manage.py fetch_models",
}
ADVICE_FOR_POCKET = (
    "Run: pip install -r requirements-pocket.txt, and manage.py fetch_models --with pocket-tts (docs/pocket-tts.md)"
)
NO_KEY = (
    "The server wants a key, and none is set for this address. Set {prefix}_API_KEY. OPENAI_API_KEY is sent only to "
    "OPENAI_BASE_URL."
)


class Command(BaseCommand):
    help = "Call the engine of each stage once, and show what works, how fast it is, and what to do if it fails."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--clone",
            action="store_true",
            help="make a voice from a shipped recording, let it speak and delete it, also where that is paid for",
        )

    def handle(self, *_args: Any, clone: bool, **_options: Any) -> None:
        trial = Trial(
            question=_recording("question.flac"),
            sample=_recording("sample.flac"),
            max_tokens=settings.MAX_REPLY_TOKENS,
            voice_id=_demo_voice_id(),
            clones=clone,
        )
        outcomes: list[Outcome] = []

        def report(outcome: Outcome) -> None:
            outcomes.append(outcome)
            self._print(outcome)

        registry.call(lambda engines: engine_check.check(engines, trial, report))
        if not any(outcome.stage == "speak" for outcome in outcomes):
            self.stdout.write("speak   not tried: there is no voice to speak with. Use --clone, or run manage.py demo.")
        failed = {outcome.stage for outcome in outcomes if outcome.error}
        if settings.TEXT_TO_SPEECH == POCKET and failed.isdisjoint({"clone", "speak"}):
            self._report_pocket(trial.sample)
        if failed:
            raise CommandError(f"These stages do not work: {', '.join(sorted(failed))}.")

    def _report_pocket(self, sample: Recording) -> None:
        self.stdout.write("Pocket TTS is experimental. These measurements help to know how well it works:")
        try:
            for line in pocket_report.report(configs.pocket_config(), sample):
                self._print_detail(line)
        except (pocket_bundle.BundleError, ProviderError) as error:
            raise CommandError(f"Pocket TTS does not work: {error}") from error
        except ImportError as error:
            raise CommandError(f"Pocket TTS is not installed. {ADVICE_FOR_POCKET}.") from error

    def _print(self, outcome: Outcome) -> None:
        if outcome.error:
            self.stdout.write(f"{_heading(outcome)}: FAILED, {outcome.error.code}")
            self._print_detail(advice(outcome, outcome.error))
            if outcome.offered_models:
                self._print_detail(f"The server offers: {', '.join(outcome.offered_models[:MAX_SHOWN_MODELS])}")
        else:
            times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in outcome.seconds.items())
            self.stdout.write(f"{_heading(outcome)}: OK, {times}")
            self._print_detail(outcome.note[:MAX_NOTE_CHARACTERS])

    def _print_detail(self, text: str) -> None:
        # A server could send control characters to the terminal.
        self.stdout.write(" " * 8 + "".join(each if each.isprintable() else " " for each in text))


def advice(outcome: Outcome, error: ProviderError) -> str:
    """Return what to do about the `error` of `outcome`."""
    prefix = _variables(outcome)
    text = ADVICE.get(error.code, error.message)
    if error.code == "provider_key_invalid" and not _has_key(outcome):
        text = NO_KEY
    if error.code == "models_missing" and outcome.engine == POCKET:
        text = ADVICE_FOR_POCKET
    model = MODEL_VARIABLES.get(outcome.stage, f"{prefix}_TTS_MODEL")
    if outcome.engine in availability.live_engines():
        model = "LIVE_STT_MODEL"
    elif outcome.engine == SERVER:
        model = "VOICE_MODEL"
    return text.format(prefix=prefix, model=model, deadline=DEADLINES[outcome.stage])


def _heading(outcome: Outcome) -> str:
    address = availability.address_of(outcome.engine, outcome.stage)
    where = host_and_port(address) if address else "this machine"
    return f"{outcome.stage:<8}{outcome.engine} at {where}, {availability.model_of(outcome.engine, outcome.stage)}"


def _variables(outcome: Outcome) -> str:
    """Return how the variables begin that the operator should look at."""
    address = availability.address_of(outcome.engine, outcome.stage)
    is_common = outcome.engine in (OPENAI, OPENAI_LIVE) and address == settings.OPENAI_BASE_URL
    return "OPENAI" if is_common else availability.variables_of(outcome.engine, outcome.stage)


def _has_key(outcome: Outcome) -> bool:
    prefix = availability.variables_of(outcome.engine, outcome.stage)
    return bool(getattr(settings, f"{prefix}_API_KEY", ""))


def _recording(name: str) -> Recording:
    data = (DEMO_DIR / name).read_bytes()
    return decode(data, sample_rate=engine_check.SAMPLE_RATE, max_seconds=SAMPLE_SECONDS)


def _demo_voice_id() -> str:
    """Return the voice of `manage.py demo`, or "" without one. No other person's voice speaks for a check."""
    try:
        user = User.objects.filter(username=USERNAME).first() or AnonymousUser()
        voices = VoiceProfile.objects.for_user(user).filter(provider=settings.TEXT_TO_SPEECH)
        voice = voices.that_speak().first()
    except DatabaseFailure:  # The tables do not exist yet.
        return ""
    return voice.voice_id if voice else ""

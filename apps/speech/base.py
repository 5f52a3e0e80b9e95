"""The interface of the speech engines: small Protocols, their value types, and the errors of this package.

Audio between the stages is mono 16-bit little-endian PCM. Nothing here knows of Django settings, requests or models.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

Stage = Literal["clone", "hear", "think", "speak"]
Role = Literal["system", "user", "assistant"]

# The engines, as the settings and the rows of voices name them.
OPENAI = "openai"
ELEVENLABS = "elevenlabs"
SERVER = "server"  # An HTTP server of the operator's own that clones voices.
LOCAL = "local"  # The embedded engines that need nothing else.
POCKET = "pocket"  # An embedded engine that the operator has to install.

# The services that hear while it is spoken, at prices of their own.
ELEVENLABS_LIVE = "elevenlabs-live"
OPENAI_LIVE = "openai-live"
UPLOAD = "upload"  # In the setting for those: the engine of the stage "hear", which hears whole recordings.

EMBEDDED = frozenset({LOCAL, POCKET})
"""The engines that run in this process: they cost nothing, send nothing, and have no circuit breaker."""


LIVE_SAMPLE_RATE = 24_000
"""Sample rate in hertz of sound that is heard while it is spoken."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Decoded speech. `pcm` is mono s16le; `sample_rate` is in hertz."""

    pcm: bytes
    sample_rate: int

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / self.sample_rate


@dataclass(frozen=True, slots=True)
class SpokenConsent:
    """A person's words that allow the cloning of their voice. `language` is an ISO 639-1 code."""

    recording: Recording
    language: str


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """A part of a transcript. `start` and `end` are seconds from the start of the recording.

    The rest is Whisper's own account of the part, as far as the engine gives one: its tokens, the mean logarithm of
    their probabilities, the probability that nobody speaks, and the temperature of the decoder.
    """

    start: float
    end: float
    text: str
    tokens: tuple[int, ...] = field(default=(), compare=False)
    avg_logprob: float = field(default=0.0, compare=False)
    no_speech_prob: float = field(default=0.0, compare=False)
    temperature: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The result of speech to text. `text` is stripped and may be empty.

    `language` is an ISO 639-1 code, "" if it is unknown. `segments` contain the same text in order, with times, and
    `words` its words; they are empty if the engine returns no times.
    """

    text: str
    language: str = ""
    segments: tuple[TranscriptSegment, ...] = ()
    words: tuple[TranscriptSegment, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation as the language model sees it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """How a voice speaks. None means the engine's own default. An engine ignores settings that it does not support.

    `stability`, `similarity` and `style` are from 0 to 1, `speed` is from 0.7 to 1.2 (1 is the speaker's own pace).
    `instructions` say in words how to speak.
    """

    stability: float | None = None
    similarity: float | None = None
    style: float | None = None
    speed: float | None = None
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class ProviderVoice:
    """A voice in the provider's list. With `needs_verification`, it cannot speak until its speaker is verified."""

    voice_id: str
    name: str
    needs_verification: bool = False


class SpeechToText(Protocol):
    @property
    def name(self) -> str:
        """The engine's name in the settings. With a fallback: the name of the engine that was called last."""
        ...

    @property
    def supports_timestamps(self) -> bool:
        """Whether the engine can tell when segments and words are said."""
        ...

    async def transcribe(self, recording: Recording, *, language: str) -> Transcript:
        """Return the transcript of `recording`. Raises ProviderError.

        `language` is a hint: an ISO 639-1 code, or "" to let the engine detect it.
        """
        ...

    async def transcribe_with_times(self, recording: Recording, *, language: str, words: bool) -> Transcript:
        """Do the same with the times of segments and, with `words`, of words. Only if `supports_timestamps`."""
        ...


class LiveTranscription(Protocol):
    """The speech of one person, transcribed while it is spoken. A question is the sound up to a commit.

    Any silence may be left out of the sound, or come with it. More sound may come while a commit waits for its result.
    Who commits too early commits again later, and joins both texts.
    """

    @property
    def name(self) -> str:
        """The engine whose price applies. With a fallback: the name of the engine that was called last."""
        ...

    @property
    def sent_seconds(self) -> float:
        """Seconds of sound that the engine has been sent so far, in vain or not: services charge for all of them."""
        ...

    def hear(self, pcm: bytes) -> None:
        """Take the sound that has come: mono s16le at LIVE_SAMPLE_RATE, in whole samples. Returns at once.

        Of a question that is longer than the engine's limit, the end is kept.
        """
        ...

    def likely_end(self) -> None:
        """Tell that the person has been silent for a moment, and may be done. They may still go on.

        Engines that only hear whole recordings begin now; a commit without further speech gets this result at once.
        """
        ...

    async def commit(self) -> Transcript:
        """Return the final transcript of what came since the last commit. Raises ProviderError.

        The sound is used up, whatever comes of it. Several commits may wait at the same time.
        """
        ...

    def clear(self) -> None:
        """Forget the sound that came since the last commit."""
        ...


class LiveSpeechToText(Protocol):
    @property
    def name(self) -> str:
        """The engine's name, as that of its transcriptions."""
        ...

    def listen(
        self, *, language: str, on_partial: Callable[[str], None]
    ) -> AbstractAsyncContextManager[LiveTranscription]:
        """Listen to one person in the block. Entering it waits for nothing, but connects in the background.

        `language` is a hint, as for SpeechToText. `on_partial` gets what was said since the last commit whenever that
        changes: each text replaces the one before it, and none of them is certain. It is called in the event loop.
        """
        ...


class LanguageModel(Protocol):
    @property
    def name(self) -> str:
        """The engine's name in the settings. With a fallback: the name of the engine that was called last."""
        ...

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        """Yield the reply to `messages` as text deltas while the model writes it. Raises ProviderError."""
        ...


class TextToSpeech(Protocol):
    @property
    def sample_rate(self) -> int:
        """Sample rate in hertz of the PCM that `speak` yields."""
        ...

    def speak(
        self, text: str, *, voice_id: str, settings: VoiceSettings, previous_text: str
    ) -> AsyncGenerator[bytes, None]:
        """Yield the speech of `text` as mono s16le PCM, in chunks of whole samples, as they arrive.

        `previous_text` is the text that the same voice said just before, for a continuous intonation. Raises
        ProviderError.
        """
        ...


class VoiceCloner(Protocol):
    async def create(self, name: str, samples: Sequence[Recording], *, consent: SpokenConsent | None = None) -> str:
        """Create a voice that sounds like the speaker of `samples`; return its `voice_id`. Raises ProviderError.

        `consent` is for services that store it together with the voice.
        """
        ...

    async def delete(self, voice_id: str) -> None:
        """Delete the voice at the provider. A voice that does not exist counts as deleted. Raises ProviderError."""
        ...

    async def list(self) -> list[ProviderVoice]:
        """Return the cloned voices that exist at the provider. Raises ProviderError."""
        ...


RECORDINGS_UNAVAILABLE = "recordings_unavailable"
PROVIDER_MESSAGES: dict[str, Promise] = {
    RECORDINGS_UNAVAILABLE: _(
        "The storage of recordings does not answer at the moment. Nothing in it is lost. Try again in a minute."
    ),
    "provider_key_invalid": _("The speech service rejected its key. The operator of this site has to correct it."),
    "provider_quota_exhausted": _("The speech service has no credit left. The operator of this site has to add some."),
    "provider_permission_missing": _(
        "The speech service's key lacks a permission for this. The operator of this site has to give it that."
    ),
    "provider_payment_failed": _(
        "The speech service is waiting for a payment. The operator of this site has to settle it there."
    ),
    "provider_plan_insufficient": _("The speech service's plan does not include this. The operator has to change it."),
    "provider_busy": _("The speech service is busy. Try again in a moment."),
    "provider_unreachable": _("The speech service cannot be reached. Try again in a few minutes."),
    "provider_unavailable": _(
        "The speech service is down at the moment, so nothing was sent to it. Try again in a few minutes."
    ),
    "provider_timeout": _("The speech service took too long to answer. Try again."),
    "provider_failed": _("The speech service failed. Try again in a few minutes."),
    "provider_incomplete": _("The speech service stopped in the middle of its answer. Try again."),
    "provider_answer_invalid": _("The speech service sent an invalid answer. Try again in a few minutes."),
    "provider_refused": _("The speech service refused the request. Try another recording or another wording."),
    "provider_content_refused": _(
        "The speech service's rules do not allow this text, so it was not used. Ask or say it in another way."
    ),
    "provider_duplicate_samples": _(
        "The speech service found the same recording twice. Remove one of the two, and clone the voice again."
    ),
    "provider_audio_refused": _(
        "The speech service could not use this recording. Record it again, or use another file."
    ),
    "provider_voice_limit": _(
        "The speech service's plan allows no more voices. Delete a voice that you no longer use."
    ),
    "provider_voice_missing": _("The speech service no longer has this voice. Clone it again."),
    "provider_cannot_delete": _(
        "The voice server cannot delete recordings. The operator of this site has to remove this one from it by hand."
    ),
    "provider_voice_unverified": _("The speech service does not let this voice speak until its speaker is verified."),
    "provider_model_missing": _("The configured model does not exist. The operator of this site has to correct it."),
    "provider_not_configured": _("This voice belongs to a speech service that is switched off on this site."),
    "engine_loading": _("The speech engines are being fetched. Try again in a few minutes."),
    "models_missing": _("The embedded engines are not installed. The operator has to run: manage.py fetch_models"),
}


class ProviderError(Exception):
    """An engine failed. The only error that an engine raises. It never contains a key or a user's words.

    `code` is stable and a key of PROVIDER_MESSAGES. `retryable`: the same call may succeed later. `retry_after` is the
    pause in seconds that the provider asked for, if any. `is_outage`: the provider itself is down, because it was
    unreachable, closed the connection, took too long or answered with a 5xx.
    """

    def __init__(
        self, code: str, *, stage: Stage, retryable: bool, retry_after: float | None = None, is_outage: bool = False
    ) -> None:
        super().__init__(f"{stage}: {code}")
        self.code = code
        self.stage = stage
        self.retryable = retryable
        self.retry_after = retry_after
        self.is_outage = is_outage

    @property
    def message(self) -> str:
        return str(PROVIDER_MESSAGES[self.code])


class EngineLoadingError(ProviderError):
    """The weights of an embedded engine are being fetched. `progress` says for people how far that is."""

    def __init__(self, *, stage: Stage, progress: str, retry_after: float) -> None:
        super().__init__("engine_loading", stage=stage, retryable=True, retry_after=retry_after)
        self.progress = progress

    @property
    def message(self) -> str:
        return gettext("The engines are being fetched: %(progress)s.") % {"progress": self.progress}


def mark_for_translation(text: str) -> str:
    """Return `text`. Import it as `_`, so that makemessages finds the text; `AudioError.message` translates it.

    Django's gettext_noop needs settings, which the decoder process does not have.
    """
    return text


class AudioError(Exception):
    """A recording that cannot be used. `code` is stable; `message` names the problem and what to do about it.

    `text` is a template marked for translation and `values` fill it. `message` translates when it is read, because the
    decoder does not know the user's language.
    """

    def __init__(self, code: str, text: str, values: Mapping[str, str | float] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.text = text
        self.values = dict(values or {})

    @property
    def message(self) -> str:
        text = translation.gettext(self.text)
        return text % self.values if self.values else text


class AudioBusyError(AudioError):
    """All decoders are busy. Another try makes sense after `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("audio_busy", gettext_noop("Many recordings are being read right now. Try again in a moment."))
        self.retry_after = retry_after

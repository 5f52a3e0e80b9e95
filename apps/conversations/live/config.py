"""The settings of a live session, as its client sees and changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.conf import settings

from apps.conversations.live.protocol import AUDIO_FORMAT, Event, invalid, unsupported
from apps.speech.audio.turn_taking import Eagerness, TurnSettings
from apps.speech.reply_text import storable

MAX_INSTRUCTIONS = 2000  # Characters, as for the persona of a conversation.
SLOWEST, FASTEST = 0.25, 1.5
MAX_METADATA, MAX_METADATA_CHARACTERS = 16, 512
# The range that voices have.
MIN_SPEED, MAX_SPEED = 0.7, 1.2
EAGERNESS: tuple[Eagerness, ...] = ("low", "medium", "high", "auto")


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Who finds the end of a question, and what follows from it."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    def as_json(self) -> Event:
        shared = {
            "type": self.type,
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
        }
        if self.type == "semantic_vad":
            return shared | {"eagerness": self.eagerness}
        return shared | {
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
        }

    def turn_settings(self) -> TurnSettings:
        return TurnSettings(
            mode=self.type,
            eagerness=self.eagerness,
            threshold=self.threshold,
            prefix_padding_ms=self.prefix_padding_ms,
            silence_duration_ms=self.silence_duration_ms,
            longest_pause_ms=round(settings.LIVE_LONGEST_PAUSE_SECONDS * 1000),
        )


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What a client can set. An empty `language` lets the engine detect it; `max_output_tokens` None is no limit."""

    instructions: str = ""
    is_spoken: bool = True
    turn_detection: TurnDetection | None = TurnDetection()
    language: str = ""
    voice: str = ""
    speed: float = 1.0
    max_output_tokens: int | None = None

    def as_json(self, *, session_id: str, model: str, hearing: str) -> Event:
        """Return the whole session in force: some clients act by what it says."""
        transcription: Event = {"model": hearing} | ({"language": self.language} if self.language else {})
        detection = self.turn_detection
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "instructions": self.instructions,
            "output_modalities": ["audio" if self.is_spoken else "text"],
            "max_output_tokens": self.max_output_tokens or "inf",
            "tools": [],
            "tool_choice": "auto",
            "audio": {
                "input": {
                    "format": AUDIO_FORMAT,
                    "transcription": transcription,
                    "turn_detection": detection and detection.as_json(),
                },
                "output": {"format": AUDIO_FORMAT, "voice": self.voice, "speed": self.speed},
            },
        }


def changed(config: SessionConfig, session: Any) -> SessionConfig:
    """Return `config` with the keys that `session`, the content of a session.update, has. Raises ProtocolError."""
    fields = _object(session, "session")
    if fields.get("type", "realtime") != "realtime":
        raise unsupported("session.type", "This session is of the type realtime, which cannot be changed.")
    changes = common_changes(fields, "session")
    audio = _object(fields.get("audio"), "session.audio")
    changes |= _input_changes(config, _object(audio.get("input"), "session.audio.input"))
    changes |= _output_changes(_object(audio.get("output"), "session.audio.output"))
    return replace(config, **changes)


def common_changes(fields: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Return the changes that a session and a single response can have. `at` is the name of `fields`."""
    if fields.get("tools"):
        raise unsupported(f"{at}.tools", "Tools are not supported here.")
    changes: dict[str, Any] = {}
    if "instructions" in fields:
        changes["instructions"] = _instructions(fields["instructions"], f"{at}.instructions")
    if "output_modalities" in fields:
        changes["is_spoken"] = _is_spoken(fields["output_modalities"], f"{at}.output_modalities")
    if "max_output_tokens" in fields:
        changes["max_output_tokens"] = _max_tokens(fields["max_output_tokens"], f"{at}.max_output_tokens")
    return changes


def _input_changes(config: SessionConfig, fields: Mapping[str, Any]) -> dict[str, Any]:
    _check_format(fields, "session.audio.input.format")
    changes: dict[str, Any] = {}
    if "turn_detection" in fields:
        changes["turn_detection"] = _turn_detection(config.turn_detection, fields["turn_detection"])
    transcription = _object(fields.get("transcription"), "session.audio.input.transcription")
    if transcription.get("prompt"):
        text = "Not all engines here take a prompt for what they hear, so none is taken."
        raise unsupported("session.audio.input.transcription.prompt", text)
    if {"language", "languages"} & transcription.keys():
        changes["language"] = _language(transcription)
    return changes


def response_changes(config: SessionConfig, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes for a single response, whose voice and format are those of the session."""
    if fields.get("conversation") == "none":
        raise unsupported("response.conversation", "A response always belongs to the conversation here.")
    if fields.get("input"):
        raise unsupported("response.input", "A response answers the questions of the conversation. Create an item.")
    output = _object(_object(fields.get("audio"), "response.audio").get("output"), "response.audio.output")
    _check_format(output, "response.audio.output.format")
    if output.get("voice") not in (None, config.voice):
        raise unsupported("response.audio.output.voice", "The voice is chosen for the whole session.")
    return common_changes(fields, "response")


def metadata_of(fields: Mapping[str, Any]) -> dict[str, str] | None:
    """Return what a client attaches to a response, within the limits that it has at OpenAI."""
    metadata = _object(fields.get("metadata"), "response.metadata")
    if len(metadata) > MAX_METADATA or not all(_is_short_text(each) for pair in metadata.items() for each in pair):
        raise invalid("response.metadata", f"Send up to {MAX_METADATA} short texts.")
    return dict(metadata) or None


def _is_short_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_METADATA_CHARACTERS


def _output_changes(fields: Mapping[str, Any]) -> dict[str, Any]:
    _check_format(fields, "session.audio.output.format")
    changes: dict[str, Any] = {}
    if fields.get("voice") is not None:
        voice = fields["voice"]
        name = voice.get("id") if isinstance(voice, dict) else voice
        if not isinstance(name, str) or not name:
            raise invalid("session.audio.output.voice", "Name one of your voices, by its id or its name.")
        changes["voice"] = name
    if fields.get("speed") is not None:
        speed = _number(fields["speed"], "session.audio.output.speed", SLOWEST, FASTEST)
        changes["speed"] = min(max(speed, MIN_SPEED), MAX_SPEED)
    return changes


def _check_format(fields: Mapping[str, Any], param: str) -> None:
    if fields.get("format") is None:
        return
    wanted = _object(fields["format"], param)
    if wanted.get("type") != AUDIO_FORMAT["type"] or wanted.get("rate", AUDIO_FORMAT["rate"]) != AUDIO_FORMAT["rate"]:
        raise unsupported(param, "The only format is audio/pcm with a rate of 24000: mono, 16 bits, little-endian.")


def _turn_detection(current: TurnDetection | None, value: Any) -> TurnDetection | None:
    at = "session.audio.input.turn_detection"
    if value is None:
        return None
    fields = _object(value, at)
    kind = fields.get("type", current.type if current else "server_vad")
    if kind not in ("server_vad", "semantic_vad"):
        raise unsupported(f"{at}.type", "Choose server_vad, semantic_vad, or null for push-to-talk.")
    base = current if current and current.type == kind else TurnDetection(type=kind)
    changes: dict[str, Any] = {"type": kind}
    readers: dict[str, Callable[[Any, str], Any]] = {
        "threshold": lambda given, param: _number(given, param, 0, 1),
        "prefix_padding_ms": lambda given, param: round(_number(given, param, 0, 2000)),
        "silence_duration_ms": lambda given, param: round(_number(given, param, 100, 10_000)),
        "eagerness": _eagerness,
        "create_response": _boolean,
        "interrupt_response": _boolean,
    }
    for name, read in readers.items():
        if fields.get(name) is not None:
            changes[name] = read(fields[name], f"{at}.{name}")
    return replace(base, **changes)


def _language(transcription: Mapping[str, Any]) -> str:
    at = "session.audio.input.transcription"
    languages = transcription.get("languages") or []
    if not isinstance(languages, list) or len(languages) > 1:
        raise unsupported(f"{at}.languages", "Name one language, or none: then it is detected.")
    language = transcription.get("language") or (languages[0] if languages else "")
    if not isinstance(language, str) or len(language) > 10:
        raise invalid(f"{at}.language", "Send an ISO 639-1 code, such as en.")
    return language.partition("-")[0].lower()


def _instructions(value: Any, param: str) -> str:
    if not isinstance(value or "", str):
        raise invalid(param, "Instructions are text.")
    if len(value or "") > MAX_INSTRUCTIONS:
        raise invalid(param, f"Instructions have at most {MAX_INSTRUCTIONS} characters.")
    return storable(value or "")


def _is_spoken(value: Any, param: str) -> bool:
    if value not in (["audio"], ["text"]):
        raise invalid(param, 'Choose ["audio"] or ["text"].')
    return bool(value == ["audio"])


def _max_tokens(value: Any, param: str) -> int | None:
    if value is None or value == "inf":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid(param, 'Send a whole number from 1 on, or "inf".')
    return value


def _eagerness(value: Any, param: str) -> Eagerness:
    if value not in EAGERNESS:
        raise invalid(param, "Choose low, medium, high or auto.")
    return value  # type: ignore[no-any-return]


def _boolean(value: Any, param: str) -> bool:
    if not isinstance(value, bool):
        raise invalid(param, "Send true or false.")
    return value


def _number(value: Any, param: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise invalid(param, f"Send a number from {least} to {most}.")
    return float(value)


def _object(value: Any, param: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(param, "This has to be an object.")
    return value

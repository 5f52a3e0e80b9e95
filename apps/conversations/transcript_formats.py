"""Transcripts in the formats of OpenAI's API: JSON, text, SubRip, WebVTT and events."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.response import Response

from apps.speech.base import Transcript, TranscriptSegment
from apps.speech.languages import name_of

WITHOUT_TIMES, SUBTITLES = ("json", "text", "verbose_json"), ("srt", "vtt")
WITH_TIMES = ("verbose_json", *SUBTITLES)
TRANSCRIPT_FORMATS = (*WITHOUT_TIMES, *SUBTITLES)


def transcript_response(
    response_format: str, transcript: Transcript, seconds: float, granularities: Sequence[str] = ("segment",)
) -> HttpResponseBase:
    """Answer with `transcript`, of a recording of `seconds`, in one of TRANSCRIPT_FORMATS.

    `granularities` is what has times in verbose_json: "segment", "word" or both.
    """
    segments = _segments(transcript, seconds)
    match response_format:
        case "json":
            return Response({"text": transcript.text, "usage": _usage(seconds)})
        case "verbose_json":
            return Response(_verbose(transcript, segments, seconds, granularities))
        case "srt":
            return HttpResponse(_subtitles(segments, ","), content_type="text/plain; charset=utf-8")
        case "vtt":
            text = f"WEBVTT\n\n{_subtitles(segments, '.', numbered=False)}"
            return HttpResponse(text, content_type="text/vtt; charset=utf-8")
        case _:
            return HttpResponse(f"{transcript.text}\n", content_type="text/plain; charset=utf-8")


def _segments(transcript: Transcript, seconds: float) -> Sequence[TranscriptSegment]:
    """Return the segments: one for the whole recording if the engine has no times."""
    if transcript.segments or not transcript.text:
        return transcript.segments
    return [TranscriptSegment(0.0, round(seconds, 2), transcript.text)]


def _usage(seconds: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(seconds)}


def _verbose(
    transcript: Transcript, segments: Sequence[TranscriptSegment], seconds: float, granularities: Sequence[str]
) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if "segment" in granularities:
        parts["segments"] = [_verbose_segment(number, segment) for number, segment in enumerate(segments)]
    if "word" in granularities:
        parts["words"] = [{"word": word.text, "start": word.start, "end": word.end} for word in transcript.words]
    return {
        "task": "transcribe",
        "language": name_of(transcript.language),
        "duration": round(seconds, 3),
        "text": transcript.text,
        **parts,
        "usage": _usage(seconds),
    }


def _verbose_segment(number: int, segment: TranscriptSegment) -> dict[str, Any]:
    """Return a segment with all fields that OpenAI's clients require; those that no engine tells are 0."""
    return {
        "id": number,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": segment.tokens,
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": round(_compression_ratio(segment.text), 3),
        "no_speech_prob": segment.no_speech_prob,
    }


def _compression_ratio(text: str) -> float:
    """Return how much shorter zlib makes `text`, as Whisper does to find text that repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def _subtitles(segments: Sequence[TranscriptSegment], point: str, *, numbered: bool = True) -> str:
    """Return the segments as SubRip; for WebVTT, without the numbers and with another decimal point."""
    cues = [
        (f"{number}\n" if numbered else "") + f"{_time(cue.start, point)} --> {_time(cue.end, point)}\n{cue.text}\n"
        for number, cue in enumerate(segments, start=1)
    ]
    return "\n".join(cues)


def _time(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def transcript_events(transcript: Transcript) -> str:
    """Return the whole transcript as the events of a stream: the engines give no partial transcripts."""
    delta = {"type": "transcript.text.delta", "delta": transcript.text}
    done = {"type": "transcript.text.done", "text": transcript.text}
    return "".join(f"data: {data}\n\n" for data in (json.dumps(delta), json.dumps(done), "[DONE]"))

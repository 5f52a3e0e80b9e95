"""Transcripts in the formats of OpenAI's API: JSON, text, SubRip, WebVTT and events."""

from __future__ import annotations

import json
import math
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.response import Response

from apps.speech.base import Transcript

WITH_TIMES = ("verbose_json", "srt", "vtt")
TRANSCRIPT_FORMATS = ("json", "text", *WITH_TIMES)


def transcript_response(response_format: str, transcript: Transcript, seconds: float) -> HttpResponseBase:
    """Answer with `transcript`, of a recording of `seconds`, in one of TRANSCRIPT_FORMATS."""
    match response_format:
        case "json":
            return Response({"text": transcript.text, "usage": {"type": "duration", "seconds": math.ceil(seconds)}})
        case "verbose_json":
            return Response(_verbose(transcript, seconds))
        case "srt":
            return HttpResponse(_subtitles(transcript, ","), content_type="text/plain; charset=utf-8")
        case "vtt":
            text = f"WEBVTT\n\n{_subtitles(transcript, '.', numbered=False)}"
            return HttpResponse(text, content_type="text/vtt; charset=utf-8")
        case _:
            return HttpResponse(f"{transcript.text}\n", content_type="text/plain; charset=utf-8")


def _verbose(transcript: Transcript, seconds: float) -> dict[str, Any]:
    segments = [
        {"id": number, "start": segment.start, "end": segment.end, "text": segment.text}
        for number, segment in enumerate(transcript.segments)
    ]
    return {
        "task": "transcribe",
        "language": transcript.language,
        "duration": round(seconds, 3),
        "text": transcript.text,
        "segments": segments,
        "usage": {"type": "duration", "seconds": math.ceil(seconds)},
    }


def _subtitles(transcript: Transcript, point: str, *, numbered: bool = True) -> str:
    """Return the segments as SubRip; for WebVTT, without the numbers and with another decimal point."""
    cues = [
        (f"{number}\n" if numbered else "") + f"{_time(cue.start, point)} --> {_time(cue.end, point)}\n{cue.text}\n"
        for number, cue in enumerate(transcript.segments, start=1)
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

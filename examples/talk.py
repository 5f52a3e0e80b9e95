"""Ask a recorded question and hear the answer while it is still being spoken. Needs only `requests`.

export VOICECLONE_TOKEN=vc_…
python examples/talk.py question.mp3                       # the answer goes to answer.mp3
python examples/talk.py question.mp3 --answer - | mpv -    # … or is played as it arrives
python examples/talk.py more.mp3 --conversation ID         # continues that conversation
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

import requests

# Per read. The first sound arrives after a second or two, and the rest follows without long pauses.
TIMEOUT_SECONDS = 120
CHUNK_BYTES = 4096


def main() -> None:
    options = read_options()
    try:
        ask(options)
    except requests.RequestException as error:
        sys.exit(f"The connection to {options.url} failed: {error}")


def ask(options: argparse.Namespace) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {options.token}"
    voice_id = find_voice(session, options.url, options.voice)
    form = {"voice_id": voice_id}
    if options.conversation:
        form["conversation_id"] = options.conversation
    with options.question.open("rb") as question:
        response = session.post(
            f"{options.url}/full-interaction",
            data=form,
            files={"audio_file": question},
            # If you repeat the request with the same key after a lost connection, you do not pay for it again.
            headers={"Idempotency-Key": str(uuid.uuid4())},
            stream=True,
            timeout=TIMEOUT_SECONDS,
        )
    check(response)
    tell(f"You:    {text_of(response, 'X-Transcript')}")
    tell(f"Answer: {text_of(response, 'X-Response-Text')}")
    tell(f"Continue with: --conversation {response.headers['X-Conversation-Id']}")
    with opened(options.answer) as answer:
        for chunk in response.iter_content(CHUNK_BYTES):
            answer.write(chunk)
            answer.flush()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ask a recorded question and hear the answer.")
    parser.add_argument("question", type=Path, help="a recording: MP3, M4A, WAV, FLAC, Ogg, WebM, AIFF, AMR, WMA, …")
    parser.add_argument(
        "--url",
        type=lambda url: url.rstrip("/"),
        default="http://127.0.0.1:8000",
        help="where VoiceClone runs (default: %(default)s)",
    )
    parser.add_argument("--token", default=os.environ.get("VOICECLONE_TOKEN"), help="default: $VOICECLONE_TOKEN")
    parser.add_argument("--voice", default="", help="name of the voice that answers (default: your default voice)")
    parser.add_argument("--conversation", default="", help="id of a conversation to continue")
    parser.add_argument("--answer", default="answer.mp3", help="file for the answer, - for standard output")
    options = parser.parse_args()
    if not options.token:
        parser.error("create a token under Account → API tokens, and set VOICECLONE_TOKEN to it")
    return options


def find_voice(session: requests.Session, url: str, name: str) -> str:
    """Return the `voice_id` of the voice called `name`, or of the default one."""
    response = session.get(f"{url}/api/v1/voices", params={"limit": 200}, timeout=TIMEOUT_SECONDS)
    check(response)
    voices: list[dict[str, Any]] = [voice for voice in part_of(response, "results") if voice["status"] == "ready"]
    for voice in voices:
        if voice["name"] == name if name else voice["is_default"]:
            return str(voice["voice_id"])
    sys.exit(f"You have no voice “{name}” that can speak." if name else "Clone a voice first.")


def check(response: requests.Response) -> None:
    """Exit with the error message of the server if it refused the request."""
    if not response.ok:
        error = part_of(response, "error")
        sys.exit(f"{error['message']} ({error['code']})")


def part_of(response: requests.Response, name: str) -> Any:
    """Return a part of the server's JSON. Without it, something else has answered, such as a proxy: exit."""
    try:
        return response.json()[name]
    except (requests.JSONDecodeError, LookupError, TypeError):
        kind = response.headers.get("Content-Type", "nothing")
        sys.exit(
            f"{response.url} answered {response.status_code} {response.reason} with {kind}, and not as VoiceClone does."
            " Is the address right, and does VoiceClone run behind it?"
        )


def text_of(response: requests.Response, name: str) -> str:
    text = response.headers[name]
    return text if response.headers["X-Text-Encoding"] == "plain" else unquote(text)


def tell(text: str) -> None:
    """Print to standard error, because standard output may be the sound."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Yield standard output, or a file that gets its name only when it is complete."""
    if name == "-":
        yield sys.stdout.buffer
        return
    part = Path(f"{name}.part")
    try:
        with part.open("wb") as file:
            yield file
        shutil.move(part, name)
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    main()

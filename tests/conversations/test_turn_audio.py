from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apps.speech.audio.decoding import decode
from tests.audio_samples import clip
from tests.client import bearer, error_of
from tests.factories import make_turn

if TYPE_CHECKING:
    from django.test import Client

    from apps.conversations.models import Conversation, Turn
    from tests.client import Page

SECONDS = clip("austen-0880.wav").seconds


@pytest.fixture
def turn(conversation: Conversation) -> Turn:
    return make_turn(conversation)


@pytest.fixture
def fetch(client: Client, alice_token: str, turn: Turn) -> Any:
    def get(path: str = "audio", **headers: str) -> Page:
        return client.get(f"/api/v1/turns/{turn.pk}/{path}", headers=bearer(alice_token) | headers)

    return get


def stored(turn: Turn, kind: str = "answer") -> bytes:
    with getattr(turn, kind).open("rb") as file:
        data: bytes = file.read()
    return data


@pytest.mark.parametrize(("path", "kind"), [("audio", "answer"), ("question", "question")])
def test_it_serves_the_stored_file(fetch: Any, turn: Turn, path: str, kind: str) -> None:
    response = fetch(path)
    assert response.status_code == 200
    assert response.content == stored(turn, kind)
    assert response["Content-Type"] == "audio/flac"
    assert response["Accept-Ranges"] == "bytes"
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_only_the_answer_is_marked_as_made_by_ai(fetch: Any) -> None:
    assert fetch("audio")["X-AI-Generated"] == "true"
    assert "X-AI-Generated" not in fetch("question")


@pytest.mark.parametrize("path", ["audio", "question"])
def test_it_is_mp3_if_the_client_accepts_that(fetch: Any, path: str) -> None:
    response = fetch(path, Accept="audio/mpeg")
    assert response["Content-Type"] == "audio/mpeg"
    assert "Content-Disposition" not in response
    assert decode(response.content, sample_rate=24_000, max_seconds=60).seconds == pytest.approx(SECONDS, abs=0.1)


def test_a_link_downloads_it_as_mp3(fetch: Any, turn: Turn) -> None:
    response = fetch("audio?as=mp3")
    assert response["Content-Type"] == "audio/mpeg"
    assert response["Content-Disposition"] == f'attachment; filename="answer-{turn.pk}.mp3"'
    assert decode(response.content, sample_rate=24_000, max_seconds=60).seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "audio/*",
        "audio/webm,audio/ogg,audio/wav,audio/*;q=0.9,application/ogg;q=0.7,video/*;q=0.6,*/*;q=0.5",
        "audio/flac",
    ],
)
def test_players_get_the_stored_flac(fetch: Any, accept: str) -> None:
    assert fetch(Accept=accept)["Content-Type"] == "audio/flac"


class TestRange:
    @pytest.mark.parametrize(
        ("wanted", "part", "content_range"),
        [
            ("bytes=0-", slice(None), "bytes 0-{last}/{size}"),
            ("bytes=0-1", slice(2), "bytes 0-1/{size}"),
            ("bytes=100-199", slice(100, 200), "bytes 100-199/{size}"),
            ("bytes=100-", slice(100, None), "bytes 100-{last}/{size}"),
            ("bytes=-50", slice(-50, None), "bytes {tail}-{last}/{size}"),
            ("bytes=0-999999999", slice(None), "bytes 0-{last}/{size}"),
            ("bytes=-999999999", slice(None), "bytes 0-{last}/{size}"),
        ],
    )
    def test_a_part_is_served(self, fetch: Any, turn: Turn, wanted: str, part: slice, content_range: str) -> None:
        whole = stored(turn)
        response = fetch(Range=wanted)
        assert response.status_code == 206
        assert response.content == whole[part]
        size = len(whole)
        assert response["Content-Range"] == content_range.format(size=size, last=size - 1, tail=size - 50)

    @pytest.mark.parametrize("wanted", ["bytes=999999999-", "bytes=999999999-1000000000", "bytes=-0"])
    def test_a_range_beyond_the_end_is_a_416(self, fetch: Any, turn: Turn, wanted: str) -> None:
        response = fetch(Range=wanted)
        assert response.status_code == 416
        assert response["Content-Range"] == f"bytes */{len(stored(turn))}"
        assert not response.content

    @pytest.mark.parametrize(
        "wanted", ["", "bytes=-", "bytes=0-1,5-6", "seconds=0-1", "bytes=a-b", f"bytes=0-{'9' * 5000}"]
    )
    def test_anything_but_a_single_range_gets_the_whole_file(self, fetch: Any, turn: Turn, wanted: str) -> None:
        response = fetch(Range=wanted)
        assert response.status_code == 200
        assert response.content == stored(turn)


@pytest.mark.parametrize(("path", "kind"), [("audio", "answer"), ("question", "question")])
def test_a_turn_without_recording_is_a_404(fetch: Any, turn: Turn, path: str, kind: str) -> None:
    setattr(turn, kind, "")
    turn.save()
    response = fetch(path, Accept="audio/mpeg")
    assert response.status_code == 404
    assert error_of(response)["code"] == "audio_not_found"

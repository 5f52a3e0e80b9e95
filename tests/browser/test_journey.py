"""The first journey of a new person: sign up, record, clone, ask, hear."""

from __future__ import annotations

import os
import sys

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.conversations.models import Turn
from apps.voices.models import VoiceProfile
from tests.browser.steps import ask_aloud, be_signed_in, consent_aloud, record_voice, sign_up, wait_for_state
from tests.conftest import Server
from tests.factories import make_consent
from tests.fakes.behaviour import Behaviour
from tests.fakes.elevenlabs import SPEECH, VOICES_ADD
from tests.fakes.openai import CHAT, TRANSCRIPTIONS
from tests.fakes.provider import FakeProvider

SAMPLE_SECONDS = 11


@pytest.mark.usefixtures("speaker_encoder")
def test_a_new_person_clones_their_voice_and_talks_with_it(page: Page, server: Server, provider: FakeProvider) -> None:
    sign_up(page, server.url)
    consent_aloud(page, server.url, provider, seconds=SAMPLE_SECONDS)
    record_voice(page, server.url, name="Carol", seconds=SAMPLE_SECONDS)

    voice = VoiceProfile.objects.get()
    [upload] = provider.requests_to(VOICES_ADD)
    assert "Carol" in upload.form["name"]
    assert len(upload.files) == 1
    assert SAMPLE_SECONDS - 1 < voice.sample_seconds < SAMPLE_SECONDS + 5  # A busy machine stops late.

    page.goto(f"{server.url}/talk/")
    ask_aloud(page, seconds=2)
    expect(page.locator(".transcript").last).to_have_text(provider.behaviour.transcript)
    expect(page.locator(".reply").last).to_have_text(provider.behaviour.reply)
    ask_aloud(page, seconds=2)

    assert (
        len(provider.requests_to(TRANSCRIPTIONS)) == 1
    )  # Of the consent; the questions are heard while they are spoken.
    roles = [message["role"] for message in provider.requests_to(CHAT)[-1].json["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert {request.path.split("/")[3] for request in provider.requests_to(SPEECH)} == {voice.voice_id}
    assert {turn.status for turn in Turn.objects.all()} == {Turn.Status.SPOKEN}


def test_the_conversation_is_still_there_after_a_reload_and_plays(
    page: Page, server: Server, alice: User, voice: VoiceProfile
) -> None:
    be_signed_in(page, server.url, alice)
    page.get_by_label("Type instead of speaking").fill("What is the capital of France?")
    page.get_by_role("button", name="Send", exact=True).click()
    wait_for_state(page, "speaking")
    wait_for_state(page, "ready")
    page.reload()
    expect(page.locator(".reply")).to_have_count(1)
    played = page.locator(".answer-audio").evaluate(
        "audio => new Promise(resolve => { audio.ontimeupdate = () => audio.currentTime > 0.2 && resolve(true);"
        " audio.onerror = () => resolve(false); audio.play(); })"
    )
    assert played is True


def test_the_page_measures_the_time_from_the_button_to_the_first_sound(
    page: Page,
    server: Server,
    provider: FakeProvider,
    alice: User,
    voice: VoiceProfile,
    capsys: pytest.CaptureFixture[str],
) -> None:
    provider.behaviour = Behaviour(
        final_seconds=0.3, first_token_seconds=0.35, tokens_per_second=60, first_audio_seconds=0.15, audio_speed=8
    )
    be_signed_in(page, server.url, alice)
    ask_aloud(page, seconds=2)
    milliseconds = page.evaluate("() => performance.measure('wait', 'question-ended', 'first-sound').duration")
    with capsys.disabled():
        sys.stdout.write(f"\nFrom the button to the first sound in Chromium: {milliseconds:.0f} ms\n")
    assert milliseconds > 500  # The model and the voice alone take this long; the words are known sooner.


@pytest.mark.skipif(not os.environ.get("REQUIRE_MODELS"), reason="takes a minute; runs if REQUIRE_MODELS is set")
def test_the_same_journey_works_with_embedded_engines(page: Page, local_server: Server) -> None:
    sign_up(page, local_server.url)
    make_consent(User.objects.get())  # The fake microphone cannot say random words.
    record_voice(page, local_server.url, name="Carol", seconds=SAMPLE_SECONDS)
    page.goto(f"{local_server.url}/talk/")
    ask_aloud(page, seconds=5)

    turn = Turn.objects.get()
    assert turn.status == Turn.Status.SPOKEN
    assert turn.transcript
    assert turn.reply
    assert turn.answer_seconds
    assert VoiceProfile.objects.get().provider == VoiceProfile.Provider.LOCAL

"""The states of pages during and after the actions of a person."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from django.test import override_settings
from playwright.sync_api import FilePayload, expect

from apps.conversations.models import Conversation
from apps.privacy.models import Export
from apps.speech.local import progress
from tests.browser.steps import LONG_ANSWER, LONG_CLIP, SAMPLE_CLIPS, be_signed_in, marked_answer, wait_for_state
from tests.client import LONG_REPLY
from tests.factories import make_consent, make_turn, make_voice
from tests.fakes.elevenlabs import VOICES_ADD, elevenlabs_error
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from apps.accounts.models import User

NO_AUDIO = FilePayload(name="holiday.txt", mimeType="text/plain", buffer=b"no sound")


def walk(page: Page, url: str, *, provider: FakeProvider, newcomer: User, regular: User) -> Iterator[str]:
    """Use the site like a person, and yield the name of each state on the way."""
    yield from _mistakes_in_forms(page, url, newcomer)
    yield from _without_an_account(page, url)
    be_signed_in(page, url, newcomer)
    yield from _consenting(page, url)
    make_consent(newcomer)
    yield from _a_new_voice(page, url, provider)
    page.context.clear_cookies()
    voice = make_voice(regular, provider.add_voice("Jane"), name="Jane", is_default=True)
    be_signed_in(page, url, regular)
    yield from _care_of_a_voice(page, url)
    yield from _talking(page, url, provider)
    yield from _hands_free(page, url, provider)
    yield from _calling(page, url, provider)
    conversation = Conversation.objects.create(owner=regular, voice=voice, title="What is the capital of France?")
    make_turn(conversation, reply=LONG_REPLY, heard_ms=300, first_word_ms=650, first_audio_ms=900)
    yield from _looking_back(page, url, conversation)
    yield from _the_account(page, url, regular)
    with override_settings(MIN_FREE_BYTES=10**18):
        page.goto(f"{url}/talk/")
        yield "talk-outage"
    with TemporaryDirectory() as folder, override_settings(MODELS_DIR=Path(folder)):
        progress.announce(Path(folder), total=100, missing=[])
        page.goto(f"{url}/talk/")
        page.locator("#engines").wait_for()
        yield "talk-engines"


def _mistakes_in_forms(page: Page, url: str, user: User) -> Iterator[str]:
    page.goto(f"{url}/accounts/login/")
    page.get_by_label("Username or email").fill(user.username)
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_selector(".error-summary")
    yield "sign-in-wrong"
    page.goto(f"{url}/accounts/signup/")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password", exact=True).fill("short")
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    page.wait_for_selector(".error-summary")
    yield "sign-up-wrong"


def _without_an_account(page: Page, url: str) -> Iterator[str]:
    answer = FilePayload(name="answer.mp3", mimeType="audio/mpeg", buffer=marked_answer())
    recording = FilePayload(name=LONG_CLIP.name, mimeType="audio/wav", buffer=LONG_CLIP.read_bytes())
    for name, file in {"made-here": answer, "unmarked": recording, "wrong": NO_AUDIO}.items():
        page.goto(f"{url}/verify")
        page.locator("#id_file").set_input_files(file)
        page.get_by_role("button", name="Check the file").click()
        page.wait_for_selector(".verdict, .error-summary")
        yield f"verify-{name}"
    page.goto(f"{url}/report/")
    page.get_by_role("button", name="Send the report").click()
    page.wait_for_selector(".error-summary")
    yield "report-wrong"
    page.get_by_label("What happened?").fill("Somebody speaks with my voice.")
    page.get_by_role("button", name="Send the report").click()
    page.wait_for_selector(".message")
    yield "report-sent"


def _consenting(page: Page, url: str) -> Iterator[str]:
    page.goto(f"{url}/voices/consent/")
    page.get_by_role("button", name="Start recording").click()
    expect(page.locator("#level-word")).to_have_text("Good")
    page.wait_for_timeout(2000)
    yield "consent-recording"
    page.get_by_role("button", name="Stop recording").click()
    page.get_by_role("button", name="Consent", exact=True).wait_for()
    yield "consent-recorded"
    page.get_by_role("button", name="Consent", exact=True).click()  # The fake service returns another transcript.
    page.get_by_role("heading", name="Some words were different").wait_for()
    yield "consent-refused"
    with override_settings(CONSENT="attested"):
        page.goto(f"{url}/voices/consent/")
        yield "consent-attested"


def _a_new_voice(page: Page, url: str, provider: FakeProvider) -> Iterator[str]:
    page.goto(f"{url}/voices/")
    page.get_by_role("button", name="Start recording").click()
    expect(page.locator("#level-word")).to_have_text("Good")
    page.wait_for_timeout(2000)
    yield "voices-recording"
    page.get_by_role("button", name="Pause").click()
    yield "voices-paused"
    page.get_by_role("button", name="Stop recording").click()
    page.wait_for_selector(".take .point", state="attached")
    yield "voices-take"
    page.locator("#id_audio").set_input_files(SAMPLE_CLIPS)
    page.locator("#id_audio").set_input_files(NO_AUDIO)
    expect(page.locator(".take:not([data-verdict=checking])")).to_have_count(4)
    page.get_by_label("Name of the voice").fill("")
    page.get_by_role("button", name="Make my voice").click()
    page.wait_for_selector(".field-invalid")
    yield "voices-files-and-no-name"
    page.get_by_role("button", name="Remove holiday.txt").click()
    page.get_by_label("Name of the voice").fill("Carol")
    page.goto("about:blank")
    page.goto(f"{url}/voices/")
    page.wait_for_selector("#draft")
    yield "voices-draft"
    page.get_by_role("link", name="Go on with it").click()
    page.wait_for_selector(".take .point", state="attached")
    yield "voices-check"
    provider.delay(VOICES_ADD, 5)
    page.get_by_role("button", name="Make my voice").click()
    expect(page.locator("#stages [aria-current]")).to_have_text("Make the voice")
    yield "voices-being-made"
    page.get_by_role("heading", name="Meet Carol").wait_for()
    yield "voices-made"
    page.get_by_role("link", name="All my voices").click()
    page.locator("summary", has_text="Make another voice").click()
    yield "voices-another"
    page.locator("#id_audio").set_input_files(SAMPLE_CLIPS)
    expect(page.locator(".take:not([data-verdict=checking])")).to_have_count(2)
    page.get_by_label("Name of the voice").fill("Out of credit")
    provider.fail_next(VOICES_ADD, status=401, body=elevenlabs_error("quota_exceeded"))
    page.get_by_role("button", name="Make my voice").click()
    page.wait_for_selector(".voice[data-status=failed]")
    yield "voices-failed"


def _care_of_a_voice(page: Page, url: str) -> Iterator[str]:
    page.goto(f"{url}/voices/")
    page.locator("summary").filter(has_text="alice").click()
    yield "account-menu"
    page.keyboard.press("Escape")
    page.locator("summary", has_text="Rename Jane").click()
    yield "voices-rename"
    page.keyboard.press("Escape")
    page.get_by_text("Speech settings").click()
    page.get_by_label("Stability").fill("0.8")
    page.get_by_role("button", name="Hear the difference").click()
    page.wait_for_selector(".comparison")
    page.get_by_text("Source recordings").click()
    page.get_by_role("button", name="Hear it Jane").click()
    page.wait_for_selector(".preview .player")
    yield "voices-settings"


def _talking(page: Page, url: str, provider: FakeProvider) -> Iterator[str]:
    page.goto(f"{url}/talk/")
    page.get_by_role("button", name="Start recording").click()
    wait_for_state(page, "listening")
    page.wait_for_timeout(1500)
    yield "talk-listening"
    provider.behaviour = LONG_ANSWER
    provider.delay(CHAT, 3)
    page.locator("#record").click()
    expect(page.locator(".transcript")).to_have_text("What is the capital of France?")
    yield "talk-thinking"
    wait_for_state(page, "speaking")
    page.wait_for_timeout(1500)
    yield "talk-speaking"
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(page, "ready")
    yield "talk-stopped"
    provider.fail_next(CHAT, status=200, body="This is neither JSON nor sound.")
    page.get_by_label("Type instead of speaking").fill("And of Spain?")
    page.get_by_role("button", name="Send", exact=True).click()
    wait_for_state(page, "failed")
    yield "talk-failed"
    page.get_by_role("button", name="Try again").click()
    wait_for_state(page, "speaking")
    page.get_by_role("button", name="Stop", exact=True).click()


def _hands_free(page: Page, url: str, provider: FakeProvider) -> Iterator[str]:
    page.goto(f"{url}/talk/")
    page.get_by_role("switch", name="Hands-free").check()
    yield "talk-hands-free-off"
    page.get_by_role("button", name="Start listening").click()
    wait_for_state(page, "listening")
    page.wait_for_selector("html[data-microphone=live]")
    yield "talk-hands-free-hearing"
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("switch", name="Hands-free").uncheck()


def _calling(page: Page, url: str, provider: FakeProvider) -> Iterator[str]:
    provider.behaviour = LONG_ANSWER
    page.goto(f"{url}/talk/")
    page.get_by_role("button", name="Call", exact=True).click()
    wait_for_state(page, "listening")
    yield "call-listening"
    wait_for_state(page, "speaking")
    yield "call-speaking"
    page.get_by_role("button", name="Mute the microphone").click()
    page.locator("#call-shape").click()
    page.wait_for_selector("#call-dialog[data-face=muted]")
    yield "call-muted"
    page.get_by_role("button", name="End the call").click()
    provider.reset()


def _looking_back(page: Page, url: str, conversation: Conversation) -> Iterator[str]:
    page.goto(f"{url}/talk/{conversation.pk}/")
    page.locator("summary", has_text="Timings").click()
    page.get_by_role("button", name="Play the answer").click()
    page.locator("#panel").evaluate("panel => { panel.open = true }")
    yield "talk-settings-and-timings"
    page.locator("summary", has_text="Manage").click()
    yield "talk-manage"
    page.goto(f"{url}/history/")
    page.get_by_text("Actions for").first.locator("..").click()
    yield "history-menu"
    page.locator("summary", has_text="Rename").first.click()
    yield "history-rename"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Select").click()
    page.locator(".pick").first.click()
    yield "history-selecting"
    page.get_by_role("button", name="Delete", exact=True).click()
    yield "history-delete-several"
    page.go_back()
    page.keyboard.press("Escape")
    page.get_by_text("Actions for").first.locator("..").click()
    page.get_by_role("link", name="Delete", exact=True).first.click()
    page.get_by_role("button", name="Delete the conversation").click()
    yield "history-deleted"


def _the_account(page: Page, url: str, user: User) -> Iterator[str]:
    page.goto(f"{url}/accounts/tokens/")
    page.get_by_label("Name").fill("Kitchen speaker")
    page.get_by_role("button", name="Create the token").click()
    page.wait_for_selector("#token")
    yield "token-created"
    page.goto(f"{url}/accounts/webhooks/")
    page.get_by_label("Address").fill("https://example.org/hooks")
    page.get_by_role("button", name="Create the webhook").click()
    page.wait_for_selector("#secret")
    yield "webhook-created"
    Export.objects.create(owner=user, state=Export.State.RUNNING, parts=12, parts_done=7)
    page.goto(f"{url}/accounts/data/")
    page.get_by_text("Contents of the export").click()
    yield "data-under-way"

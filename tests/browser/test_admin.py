"""An administrator at work in the admin, and what the owner of a suspended voice is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect

from apps.conversations.models import Conversation
from tests.browser.conftest import faultless_page
from tests.browser.steps import PLAYED, barriers_in, be_signed_in, give_session, type_question, wait_for_answer
from tests.factories import make_administrator, make_turn, make_voice

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.voices.models import VoiceProfile
    from tests.conftest import Server

# Those that concern what is added to Django's own pages.
RULES = [
    "color-contrast",
    "label",
    "button-name",
    "link-name",
    "list",
    "definition-list",
    "dlitem",
]
REASON = "Somebody says that this is her voice. Please write to us."


@pytest.fixture
def turns(conversation: Conversation, bob: User) -> Conversation:
    """Alice's conversation about marmalade, whose last turn failed, and one of somebody else."""
    times = {"heard_ms": 320, "first_word_ms": 700, "first_audio_ms": 1100, "total_ms": 5200}
    make_turn(conversation, transcript="Who invented marmalade?", reply="Nobody knows for certain.", **times)
    failure = {"status": "failed", "failed_stage": "speak", "error_code": "provider_timeout", "answer": ""}
    make_turn(conversation, transcript="And jam?", reply="That is older.", **failure)
    make_turn(Conversation.objects.create(owner=bob, voice=make_voice(bob, "other")), transcript="Something else?")
    return conversation


def test_from_a_spoken_word_to_a_suspended_voice(
    page: Page, browser: Browser, server: Server, alice: User, voice: VoiceProfile, turns: Conversation
) -> None:
    give_session(page, server.url, make_administrator())
    page.goto(f"{server.url}/admin/conversations/conversation/")
    page.locator("#searchbar").fill("marmalade")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.locator("#result_list tbody a").first.click()

    expect(page.locator(".turn")).to_have_count(2)
    first, failed = page.locator(".turn").first, page.locator(".turn").last
    expect(first).to_contain_text("Who invented marmalade?")
    for name in ("Question", "Answer"):
        player = first.get_by_label(name, exact=True).and_(page.locator("audio"))
        player.evaluate("audio => { audio.muted = true; return audio.play(); }")
        assert player.evaluate(PLAYED), name
    assert first.locator("svg rect").count() == 4
    assert first.locator("svg rect.speak").evaluate("bar => bar.getBoundingClientRect().width") > 100
    expect(failed).to_contain_text("speaking: provider_timeout")
    page.locator(".turns h2").scroll_into_view_if_needed()
    assert barriers_in(page, rules=RULES) == ""

    with faultless_page(browser.new_context(reduced_motion="reduce"), expected="403") as owner:
        be_signed_in(owner, server.url, alice)
        type_question(owner)
        wait_for_answer(owner)
        suspend(page, server.url, voice)
        owner.get_by_label("Type instead of speaking").fill("And now?")
        owner.get_by_role("button", name="Send", exact=True).click()
        expect(owner.get_by_text(REASON).first).to_be_visible()


def suspend(page: Page, url: str, voice: VoiceProfile) -> None:
    page.goto(f"{url}/admin/voices/voiceprofile/{voice.pk}/change/")
    page.get_by_role("button", name="Suspend…").click()
    page.get_by_role("button", name="Suspend", exact=True).click()
    expect(page.get_by_label("Reason")).to_be_focused()  # The browser asks for it.
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Suspend", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("can no longer speak")


def test_a_preview_plays_on_the_page_and_a_refusal_is_shown(
    browser: Browser, server: Server, voice: VoiceProfile
) -> None:
    context = browser.new_context(reduced_motion="reduce")
    with faultless_page(context, expected="403") as page:
        give_session(page, server.url, make_administrator())
        page.goto(f"{server.url}/admin/voices/voiceprofile/{voice.pk}/change/")
        page.locator("#preview-text").fill("Good morning.")
        page.get_by_role("button", name="Speak", exact=True).click()
        player = page.locator("#preview-sound")
        expect(player).to_be_visible()
        assert player.evaluate(PLAYED)
        suspend(page, server.url, voice)
        page.goto(f"{server.url}/admin/voices/voiceprofile/{voice.pk}/change/")
        page.get_by_role("button", name="Speak", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text(REASON)
        assert barriers_in(page, rules=RULES) == ""
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(
    page: Page, server: Server, alice: User, turns: Conversation, alice_token: str, width: int
) -> None:
    give_session(page, server.url, make_administrator())
    page.set_viewport_size({"width": width, "height": 844})
    turn = turns.turns.earliest("created_at")
    long = "=HYPERLINK(" + "x" * 5000
    type(turn).objects.filter(pk=turn.pk).update(reply=long, request_ids={"speak": ["r" * 80] * 5})
    for path in (
        "voices/voiceprofile/",
        f"voices/voiceprofile/{turns.voice_id}/change/",
        "conversations/conversation/?person=alice",
        f"conversations/conversation/{turns.pk}/change/",
        "conversations/turn/?of_voice=Jane",
        f"conversations/turn/{turn.pk}/change/",
        "accounts/user/",
        f"accounts/user/{alice.pk}/change/",
    ):
        page.goto(f"{server.url}/admin/{path}")
        expect(page.locator("#content h1")).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path

"""The Talk page leaves room for the talk: one bar of controls, chips, a text box that grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import FloatRect, Locator, Page, expect

from apps.conversations.models import Conversation
from apps.conversations.personas import PRESETS
from tests.browser.steps import (
    LONG_ANSWER,
    WITHOUT_LIVE,
    barriers_in,
    describe_persona,
    open_settings,
    type_question,
    wait_for_answer,
    wait_for_state,
)
from tests.client import LONG_REPLY
from tests.factories import make_turn, make_voice
from tests.fakes.elevenlabs import SPEECH
from tests.fakes.openai import CHAT
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.conftest import Server

PHONE, DESKTOP = (390, 844), (1280, 800)
MAX_GAP = 24  # Pixels.
MAX_DOCK = {PHONE: 160, DESKTOP: 140}  # Pixels.
# Notes the microphone that is asked for.
ASKED = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wanted) => { window.asked = wanted.audio.deviceId; return ask(wanted); };
"""


def box(locator: Locator) -> FloatRect:
    found = locator.bounding_box()
    assert found
    return found


def in_size(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})


def system_of(provider: FakeProvider) -> str:
    return str(provider.requests_to(CHAT)[-1].json["messages"][0]["content"])


def test_the_field_of_the_title_follows_the_first_question_but_keeps_what_was_typed(talk: Page, server: Server) -> None:
    field, title = talk.locator("#new-title"), talk.locator("#title")
    type_question(talk, "First?")
    expect(field).to_have_value("First?")
    wait_for_answer(talk)
    talk.goto(f"{server.url}/talk/")
    field.evaluate("field => { field.value = 'My own' }")
    type_question(talk, "Second?")
    expect(title).to_have_text("Second?")
    wait_for_answer(talk)
    expect(field).to_have_value("My own")


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_after_a_failure_the_end_of_the_turn_is_above_the_controls(
    talk: Page, server: Server, conversation: Conversation, provider: FakeProvider, size: tuple[int, int]
) -> None:
    for _number in range(3):
        make_turn(conversation, reply=LONG_REPLY)
    in_size(talk, size)
    talk.goto(f"{server.url}/talk/{conversation.pk}/")
    provider.fail_next(CHAT, status=200, body="This is neither JSON nor sound.")
    type_question(talk)
    wait_for_state(talk, "failed")
    button, dock = box(talk.get_by_role("button", name="Try again")), box(talk.locator("#dock"))
    assert 0 <= dock["y"] - button["y"] - button["height"] <= MAX_GAP
    assert 0 <= size[1] - dock["y"] - dock["height"] <= MAX_GAP / 2


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_controls_are_low_in_every_state_and_nothing_overflows(
    talk: Page, provider: FakeProvider, size: tuple[int, int]
) -> None:
    def check() -> None:
        assert box(talk.locator("#dock"))["height"] <= MAX_DOCK[size]
        assert talk.evaluate("document.documentElement.scrollWidth") <= size[0]
        for button in talk.locator("#dock button:visible, #dock textarea:visible").all():
            assert (
                box(button)["x"] + box(button)["width"]
                <= box(talk.locator(".bar"))["x"] + box(talk.locator(".bar"))["width"]
            )

    provider.behaviour = LONG_ANSWER
    in_size(talk, size)
    assert box(talk.locator("#dock"))["y"] + box(talk.locator("#dock"))["height"] == size[1]
    check()
    talk.locator("#record").click()
    wait_for_state(talk, "listening")
    talk.wait_for_timeout(1000)
    check()
    away, send = box(talk.locator("#throw-away")), box(talk.locator("#record"))
    assert away["x"] + away["width"] + 8 < send["x"]
    assert away["x"] - box(talk.locator(".bar"))["x"] < 24  # One at each end.
    assert barriers_in(talk) == ""
    talk.locator("#record").click()
    wait_for_state(talk, "speaking")
    expect(talk.locator(".reply")).to_be_visible()  # It follows the sound.
    check()
    talk.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(talk, "ready")
    assert box(talk.locator(".reply"))["y"] < box(talk.locator("#dock"))["y"]


class TestTextBox:
    def test_enter_sends_and_shift_enter_begins_a_line(self, talk: Page, provider: FakeProvider) -> None:
        field = talk.get_by_label("Type instead of speaking")
        low = box(field)["height"]
        field.press_sequentially("What is")
        for _line in range(3):
            field.press("Shift+Enter")
        field.press_sequentially("the capital?")
        expect(field).to_have_value("What is\n\n\nthe capital?")
        assert low * 2 < box(field)["height"] < 200
        field.dispatch_event("keydown", {"key": "Enter", "isComposing": True})  # It takes a word from an input method.
        expect(talk.locator(".turn")).to_have_count(0)
        field.press("Enter")
        wait_for_answer(talk)
        expect(field).to_have_value("")
        assert box(field)["height"] == low
        assert provider.requests_to(CHAT)[0].json["messages"][-1]["content"] == "What is\n\n\nthe capital?"

    def test_escape_in_a_field_or_a_menu_stops_nothing(self, talk: Page, provider: FakeProvider) -> None:
        provider.behaviour = LONG_ANSWER
        type_question(talk)
        wait_for_state(talk, "speaking")
        talk.locator("summary", has_text="Manage").click()
        title = talk.get_by_label("Title")
        title.focus()
        title.press("Escape")
        expect(title).to_be_hidden()
        field = talk.get_by_label("Type instead of speaking")
        field.fill("And of Spain?")
        field.press("Escape")
        open_settings(talk)
        talk.locator("#panel summary").press("Escape")
        expect(talk.get_by_label("Your own persona")).to_be_hidden()
        expect(talk.locator("html")).to_have_attribute("data-turn-state", "speaking")
        talk.locator("#main").focus()
        talk.keyboard.press("Escape")
        wait_for_state(talk, "ready")


class TestChips:
    def test_one_tap_and_one_choice_change_the_next_answer(
        self, talk: Page, provider: FakeProvider, alice: User, server: Server
    ) -> None:
        other = make_voice(alice, provider.add_voice("Low voice"), name="Low voice")
        talk.reload()
        name, persona = PRESETS[0]
        talk.locator("#preset").click()
        talk.get_by_role("option", name=str(name)).click()
        type_question(talk)
        wait_for_answer(talk)
        assert str(persona) in system_of(provider)

        talk.locator("#voice").click()
        talk.get_by_role("option", name="Low voice").click()
        expect(talk.get_by_role("status")).to_contain_text("Saved")
        language = talk.locator("#language")
        language.focus()
        for key in ("Enter", "g", "Enter"):
            talk.keyboard.press(key)
        expect(language).to_have_value("de")
        conversation = Conversation.objects.get()
        type_question(talk, "And of Spain?")
        wait_for_answer(talk)
        conversation.refresh_from_db()
        assert (conversation.voice_id, conversation.language) == (other.pk, "de")
        assert "Always answer in German" in system_of(provider)
        assert provider.requests_to(SPEECH)[-1].path.split("/")[3] == other.voice_id

        talk.goto(f"{server.url}/talk/{conversation.pk}/")
        expect(talk.locator("#preset")).to_have_value(str(persona))
        describe_persona(talk, "A pirate.")
        expect(talk.get_by_role("status")).to_contain_text("Saved")
        type_question(talk, "And of Italy?")
        wait_for_answer(talk)
        assert "A pirate." in system_of(provider)
        talk.reload()
        expect(talk.locator("#preset")).to_have_value("own")

    def test_they_fit_a_telephone(self, talk: Page, provider: FakeProvider, alice: User, server: Server) -> None:
        voice = make_voice(
            alice, provider.add_voice("Long"), name="Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogo"
        )
        in_size(talk, PHONE)
        talk.goto(f"{server.url}/talk/?voice={voice.pk}")
        talk.locator("#language").select_option("Portuguese")
        assert talk.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        for chip in talk.locator(".chip").all():
            assert box(chip)["width"] > 80
            assert box(chip)["x"] + box(chip)["width"] <= PHONE[0]


def test_suggestions_are_one_column_on_a_telephone(talk: Page) -> None:
    in_size(talk, PHONE)
    boxes = [box(suggestion) for suggestion in talk.locator(".suggestion").all()]
    assert len({(each["x"], each["width"]) for each in boxes}) == 1
    assert all(each["height"] < 60 for each in boxes)  # One line, or two.
    assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"] < box(talk.locator("#dock"))["y"]


@pytest.mark.parametrize("scripts", ["", WITHOUT_LIVE], ids=["live", "upload"])
def test_the_chosen_microphone_records_and_is_remembered(talk: Page, scripts: str) -> None:
    talk.add_init_script(ASKED + scripts)
    talk.reload()
    open_settings(talk)
    field = talk.get_by_label("Microphone")
    field.select_option("Fake Audio Input 2")
    device = field.input_value()
    talk.keyboard.press("Escape")
    for _visit in ("first", "next"):
        expect(field).to_have_value(device)
        talk.locator("#record").click()
        wait_for_state(talk, "listening")
        assert talk.evaluate("window.asked") == device
        talk.reload()
    talk.get_by_role("switch", name="Hands-free").check()
    talk.locator("#record").click()
    wait_for_state(talk, "listening")
    assert talk.evaluate("window.asked") == device
    open_settings(talk)
    field.select_option("Fake Audio Input 1")
    talk.wait_for_function("device => window.asked !== device", arg=device)
    wait_for_state(talk, "listening")


def test_recent_conversations_are_beside_the_talk_on_wide_screens(
    talk: Page, server: Server, conversation: Conversation
) -> None:
    make_turn(conversation)
    Conversation.objects.filter(pk=conversation.pk).update(title="Paris")
    dinner = Conversation.objects.create(owner=conversation.owner, voice=conversation.voice, title="Dinner")
    talk.goto(f"{server.url}/talk/{dinner.pk}/")
    beside = talk.get_by_role("navigation", name="Recent conversations")
    expect(beside.get_by_role("link", name="Dinner")).to_have_attribute("aria-current", "page")
    beside.get_by_role("link", name="Paris").click()
    talk.wait_for_url(f"**/talk/{conversation.pk}/")
    beside.get_by_role("link", name="New conversation").click()
    type_question(talk, "Why do we need sleep?")
    wait_for_answer(talk)
    first = beside.get_by_role("listitem").first
    expect(first).to_have_text("Why do we need sleep?")
    expect(first.get_by_role("link")).to_have_attribute("aria-current", "page")
    in_size(talk, PHONE)
    expect(beside).to_be_hidden()
    talk.get_by_role("link", name="New conversation").click()
    expect(talk.locator(".turn")).to_have_count(0)


def test_the_page_has_no_barrier_with_its_menus_open(talk: Page) -> None:
    open_settings(talk)
    assert barriers_in(talk) == ""
    talk.keyboard.press("Escape")
    talk.locator("#preset").click()
    assert barriers_in(talk) == ""

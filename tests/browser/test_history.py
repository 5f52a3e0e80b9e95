"""The history: days in the visitor's zone, hits, old turns, pins, and several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from apps.conversations.models import Conversation, Turn
from apps.conversations.views import TURNS_PER_PAGE
from tests.browser.conftest import faultless_page
from tests.browser.steps import barriers_in, give_session
from tests.factories import make_turn

if TYPE_CHECKING:
    from apps.accounts.models import User
    from tests.conftest import Server

LATE = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)  # 3 March in Tokyo, 2 March in Los Angeles.


@pytest.fixture
def history(browser: Browser, server: Server, alice: User) -> Iterator[Callable[..., Page]]:
    """Return a function that opens Alice's history in a browser with the given options."""
    with ExitStack() as stack:

        def open_history(path: str = "/history/", **options: Any) -> Page:
            context = browser.new_context(reduced_motion="reduce", locale="en-GB", **options)
            page = stack.enter_context(faultless_page(context))
            stack.callback(page.close)
            give_session(page, server.url, alice)
            page.goto(server.url + path)
            return page

        yield open_history


def make_conversation(owner: User, title: str, at: datetime, **turn: Any) -> Conversation:
    conversation = Conversation.objects.create(owner=owner, title=title)
    make_turn(conversation, created_at=at, **turn)
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=at)
    return conversation


def days_of(page: Page) -> list[str]:
    return page.locator("#days .day").all_inner_texts()


class TestDays:
    @pytest.mark.parametrize(
        ("zone", "days", "time"),
        [
            ("Asia/Tokyo", ["3 March 2026", "2 March 2026"], "08:30"),
            ("America/Los_Angeles", ["2 March 2026", "1 March 2026"], "15:30"),
        ],
    )
    def test_days_and_times_are_those_of_the_visitor(
        self, history: Callable[..., Page], alice: User, zone: str, days: list[str], time: str
    ) -> None:
        for title, hours in (("Late", 0), ("Early", 8), ("Before", 16)):  # From 23:30, 15:30 and 07:30 UTC on.
            make_conversation(alice, title, LATE - timedelta(hours=hours))
        page = history(timezone_id=zone)
        assert days_of(page) == days
        expect(page.locator("#days time").first).to_have_text(time)
        expect(page.locator(".conversation h3")).to_have_text(["Late", "Early", "Before"])
        page.locator(".conversation h3 a").first.click()
        expect(page.locator(".turn time")).to_have_text(f"{days[0]} at {time}")

    def test_today_and_yesterday_have_their_names(self, history: Callable[..., Page], alice: User) -> None:
        now = timezone.now()
        for hours, title in ((0, "now"), (24, "a day ago")):
            make_conversation(alice, title, now - timedelta(hours=hours))
        assert days_of(history(timezone_id="Pacific/Kiritimati")) == ["Today", "Yesterday"]

    def test_a_time_that_a_script_adds_is_the_visitors_too(self, history: Callable[..., Page]) -> None:
        page = history(timezone_id="Asia/Tokyo")
        page.evaluate("""() => {
          const added = document.createElement("p");
          for (const attributes of ['datetime="2026-03-02T23:30:00Z"', 'datetime="2026-03-02"', "data-now"])
            added.innerHTML += `<time ${attributes}></time>`;
          document.getElementById("main").append(added);
        }""")
        times = page.locator("#main > p:last-child time")
        expect(times.nth(0)).to_have_text("3 March 2026 at 08:30")
        expect(times.nth(1)).to_have_text("2 March 2026")
        expect(times.nth(2)).not_to_be_empty()

    def test_without_javascript_days_and_times_name_utc(self, history: Callable[..., Page], alice: User) -> None:
        make_conversation(alice, "Late", LATE)
        page = history(java_script_enabled=False, timezone_id="Asia/Tokyo")
        assert days_of(page) == ["2 March 2026 UTC"]
        expect(page.locator("#days time")).to_have_text("23:30 UTC")


def test_a_hit_is_marked_and_opened_at_its_turn(history: Callable[..., Page], conversation: Conversation) -> None:
    begun = timezone.now() - timedelta(days=1)
    Turn.objects.bulk_create(
        Turn(
            owner=conversation.owner,
            conversation=conversation,
            status=Turn.Status.SPOKEN,
            transcript=f"Question {number}",
            reply="<script>alert('harbour')</script>" if number == 7 else "Yes.",
            created_at=begun + timedelta(minutes=number),
        )
        for number in range(TURNS_PER_PAGE * 3)
    )
    page = history("/history/?q=HARBOUR", viewport={"width": 390, "height": 844})
    expect(page.locator(".excerpt mark")).to_have_text("harbour")
    expect(page.locator(".excerpt").last).to_have_text("<script>alert('harbour')</script>")
    assert barriers_in(page) == ""
    page.locator(".conversation h3 a").click()
    page.wait_for_url("**/talk/*/?turn=*#turn-*")
    expect(page.locator(".turn:target .transcript")).to_have_text("Question 7")
    expect(page.locator(".turn:target")).to_be_in_viewport()
    page.get_by_role("link", name="Back to the latest turns").click()
    expect(page.locator(".transcript").last).to_have_text(f"Question {TURNS_PER_PAGE * 3 - 1}")


@pytest.mark.parametrize("with_script", [True, False])
def test_a_hit_in_an_earlier_version_is_opened(
    history: Callable[..., Page], conversation: Conversation, with_script: bool
) -> None:
    now = make_turn(conversation, transcript="And now?")
    earlier = [make_turn(conversation, transcript=text, replaced_by=now) for text in ("The harbour?", "The bridge?")]
    for number in range(3):
        make_turn(conversation, transcript=f"Question {number}")
    size = {"width": 390, "height": 844}
    page = history("/history/?q=harbour", viewport=size, java_script_enabled=with_script)
    page.locator(".conversation h3 a").click()
    hit = page.locator(f"#turn-{earlier[0].pk} > .question > .transcript")
    expect(hit).to_have_text("The harbour?")
    expect(hit).to_be_in_viewport()
    expect(hit).to_have_css("text-decoration-line", "underline")
    expect(page.get_by_text("The bridge?")).to_have_css("text-decoration-line", "none")
    page.goto(page.url.partition("?")[0])
    expect(page.get_by_text("Earlier versions (2)")).to_be_visible()
    expect(hit).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)], ids=["telephone", "desktop"])
def test_pin_by_the_menu_then_select_and_delete(
    history: Callable[..., Page], alice: User, size: tuple[int, int], scheme: str
) -> None:
    now = timezone.now()
    for number in range(4):
        make_conversation(alice, f"Number {number}", now - timedelta(minutes=number))
    page = history(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, has_touch=size[0] < 400)
    page.get_by_text("Actions for Number 2").locator("..").click()
    expect(page.get_by_role("button", name="Pin")).to_be_visible()
    assert barriers_in(page) == ""
    page.get_by_role("button", name="Pin").click()
    expect(page.locator(".conversation h3").first).to_contain_text("Number 2")
    expect(page.get_by_role("heading", name="Pinned", exact=True)).to_be_visible()
    page.get_by_role("button", name="Select").click()
    expect(page.get_by_role("status")).to_have_text("0 selected")
    for title in ("Number 0", "Number 3"):  # The whole row selects.
        page.locator(".conversation", has_text=title).click()
    expect(page.get_by_role("status")).to_have_text("2 selected")
    assert barriers_in(page) == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.keyboard.press("Escape")
    expect(page.get_by_label("Select Number 0")).to_be_hidden()
    page.get_by_role("button", name="Select").click()
    page.get_by_role("button", name="All on this page").click()
    page.locator(".conversation", has_text="Number 1").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="Delete 3 conversations?")).to_be_visible()
    assert barriers_in(page) == ""
    page.get_by_role("button", name="Delete them").click()
    expect(page.locator(".conversation h3")).to_have_text(["Number 1"])
    assert Conversation.objects.get().title == "Number 1"


def test_a_menu_that_opens_below_the_window_is_scrolled_into_it(history: Callable[..., Page], alice: User) -> None:
    make_conversation(alice, "Low", timezone.now())
    page = history(viewport={"width": 390, "height": 380})
    page.get_by_text("Actions for Low").locator("..").click()
    expect(page.locator(".menu-item", has_text="Delete")).to_be_in_viewport(ratio=1)


def test_without_javascript_several_are_deleted_and_one_is_pinned(history: Callable[..., Page], alice: User) -> None:
    for title in ("First", "Second", "Third"):
        make_conversation(alice, title, timezone.now())
    page = history(java_script_enabled=False)
    page.get_by_text("Actions for First").locator("..").click()
    page.get_by_role("button", name="Pin").click()
    for title in ("First", "Third"):
        page.get_by_label(f"Select {title}").check()
    page.get_by_role("button", name="Delete the selected").click()
    page.get_by_role("button", name="Delete them").click()
    expect(page.locator(".conversation h3")).to_have_text(["Second"])

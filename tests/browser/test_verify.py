"""The page that checks sound files: choosing a file, dropping a file, and use without JavaScript."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.browser.steps import marked_answer

if TYPE_CHECKING:
    from tests.conftest import Server

DROP = """async sound => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(sound), letter => letter.charCodeAt(0))], "dropped.mp3"));
  const event = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
  document.getElementById("dropzone").dispatchEvent(event);
}"""


def choose(page: Page, data: bytes) -> None:
    page.get_by_label("Sound file").set_input_files(FilePayload(name="a.wav", mimeType="audio/wav", buffer=data))
    page.get_by_role("button", name="Check the file").click()


def test_a_chosen_file_is_checked(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/verify")
    choose(page, marked_answer())
    verdict = page.get_by_role("heading", name="Made here, by AI")
    expect(verdict).to_be_focused()


def test_a_dropped_file_is_checked(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/verify")
    page.evaluate(DROP, base64.b64encode(marked_answer()).decode())
    expect(page.get_by_role("heading", name="Made here, by AI")).to_be_visible()
    expect(page.get_by_text("dropped.mp3")).to_be_visible()


def test_it_works_without_javascript(browser: Browser, server: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.url}/verify")
    choose(page, marked_answer())
    expect(page.get_by_role("heading", name="Made here, by AI")).to_be_visible()
    context.close()

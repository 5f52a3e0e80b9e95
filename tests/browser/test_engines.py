"""The notice about engines that are being fetched follows the progress without a reload."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings

from apps.accounts.models import User
from apps.speech.local.progress import FILE_NAME, Progress
from tests.browser.steps import be_signed_in
from tests.conftest import STAND_IN_MODELS, Server

ENCODER = "speaker-encoder/embedder.int8.onnx"


@pytest.fixture
def models_dir(server: Server, settings: Settings, tmp_path: Path) -> Path:
    """A site that lacks the speaker encoder."""
    folder = tmp_path / "models"
    folder.mkdir()
    settings.MODELS_DIR = folder
    return folder


def write(models_dir: Path, done: int, seconds_left: int | None = None) -> None:
    state = Progress(done, 100, time.time(), os.getpid(), (ENCODER,), seconds_left)
    (models_dir / "new").write_text(json.dumps(asdict(state)))
    (models_dir / "new").replace(models_dir / FILE_NAME)


def test_it_follows_the_progress_to_the_end(page: Page, server: Server, alice: User, models_dir: Path) -> None:
    write(models_dir, 12)
    be_signed_in(page, server.url, alice)
    page.goto(f"{server.url}/voices/")
    expect(page.locator("#engines-message")).to_have_text("The engines are being fetched: 12\u00a0%.")
    write(models_dir, 43, seconds_left=61)
    expect(page.locator("#engines-message")).to_have_text("The engines are being fetched: 43\u00a0%, about a minute.")
    expect(page.get_by_role("progressbar", name="The engines are being fetched")).to_have_js_property("value", 43)
    shutil.copytree(STAND_IN_MODELS, models_dir, dirs_exist_ok=True)
    (models_dir / FILE_NAME).unlink()
    expect(page.locator("#engines-state")).to_have_text("The engines are here. Everything works now.")
    expect(page.get_by_role("progressbar")).to_have_count(0)


def test_without_scripts_it_is_a_sentence(browser: Browser, server: Server, alice: User, models_dir: Path) -> None:
    write(models_dir, 12)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    be_signed_in(page, server.url, alice)
    page.goto(f"{server.url}/voices/")
    expect(page.locator("#engines")).to_contain_text("The engines are being fetched: 12\u00a0%.")
    expect(page.get_by_text("Reload this page to see how far they are.")).to_be_visible()
    expect(page.get_by_text("This page notices it by itself.")).to_be_hidden()
    context.close()

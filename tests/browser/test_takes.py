"""Takes for a new voice: the microphone, recordings and files, and takes that outlive a failure."""

from __future__ import annotations

import base64
import select
import socket
import threading
import time
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from apps.voices.models import VoiceProfile
from tests.audio_samples import clip
from tests.browser.conftest import FAKE_DEVICE, FAKE_UI, faultless_page, page_without
from tests.browser.steps import LONG_CLIP, PLAYED, add_files, be_signed_in, give_session, open_voices
from tests.fakes.elevenlabs import VOICES_ADD, elevenlabs_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.conftest import Server
    from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.usefixtures("consent")  # Cloning needs a consent.

LONG_CLIP_SECONDS = clip(LONG_CLIP.name).seconds
BYTES_BEFORE_BREAK = 200_000
NOTE_STREAMS = """
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      window.wanted = wanted;
      window.stream = await ask(wanted);
      return window.stream;
    };
"""


class BreakingProxy(ThreadingTCPServer):
    """A TCP proxy to a server. It breaks the connection within each request that begins with `breaks_at`."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), BreakingConnection)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.port = port
        self.breaks_at = b""
        self.breaks = 0


class BreakingConnection(BaseRequestHandler):
    server: BreakingProxy

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.port)) as upstream:
            ends = {self.request: upstream, upstream: self.request}
            left = -1  # Bytes until the break, or negative if there will be none.
            while True:
                for source in select.select(list(ends), [], [])[0]:
                    data = source.recv(65536)
                    if source is self.request and self.server.breaks_at and self.server.breaks_at in data:
                        left = BYTES_BEFORE_BREAK
                    if not data or 0 <= left < len(data):
                        self.server.breaks += bool(data)
                        return
                    left -= len(data) if left >= 0 else 0
                    ends[source].sendall(data)


@contextmanager
def breaking_proxy(server: Server) -> Iterator[BreakingProxy]:
    with BreakingProxy(int(server.url.rpartition(":")[2])) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


def record(page: Page, seconds: float) -> None:
    page.get_by_role("button", name="Start recording").click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
    page.wait_for_timeout(seconds * 1000)


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop recording").click()


def length_of_takes(page: Page) -> float:
    minutes, seconds = page.locator("#clock").inner_text().split(":")
    return int(minutes) * 60 + int(seconds)


class TestMicrophone:
    def assert_explained(self, page: Page, words: str) -> None:
        page.get_by_role("button", name="Start recording").click()
        expect(page.locator("#microphone-problem")).to_contain_text(words)
        expect(page.get_by_role("status")).to_contain_text(words)
        expect(page.get_by_role("button", name="Start recording")).to_be_visible()
        add_files(page)  # Files still work.

    def test_a_denied_microphone_is_explained(self, browser: Browser, server: Server, alice: User) -> None:
        with page_without(browser, FAKE_UI, instead="--deny-permission-prompts") as page:
            self.assert_explained(
                open_voices(page, server, alice), "Allow the microphone in your browser’s address bar"
            )

    def test_a_missing_microphone_is_explained(self, browser: Browser, server: Server, alice: User) -> None:
        with page_without(browser, FAKE_DEVICE) as page:
            self.assert_explained(open_voices(page, server, alice), "No microphone found. Plug one in")

    def test_it_is_asked_for_only_after_a_click_and_without_processing(
        self, page: Page, server: Server, alice: User
    ) -> None:
        page.add_init_script(NOTE_STREAMS)
        open_voices(page, server, alice)
        assert page.evaluate("() => window.wanted") is None
        record(page, 1)
        wanted = page.evaluate("() => window.wanted.audio")
        assert (wanted["echoCancellation"], wanted["noiseSuppression"], wanted["autoGainControl"]) == (False,) * 3
        stop(page)

    def test_a_recording_is_kept_if_the_microphone_is_unplugged(self, page: Page, server: Server, alice: User) -> None:
        page.add_init_script(NOTE_STREAMS)
        open_voices(page, server, alice)
        record(page, 3)
        page.evaluate("() => window.stream.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
        expect(page.get_by_role("status")).to_contain_text("unplugged")
        expect(page.locator(".take .point")).to_have_count(5)
        expect(page.get_by_role("status")).to_contain_text("unplugged")
        assert length_of_takes(page) >= 2


class TestRecording:
    def test_a_pause_is_not_recorded_and_the_take_is_checked(self, voices: Page, provider: FakeProvider) -> None:
        began = time.monotonic()
        record(voices, 3)
        expect(voices.locator("#level-word")).to_have_text("Good")
        voices.get_by_role("button", name="Pause").click()
        expect(voices.locator("#level-word")).to_have_text("paused")
        voices.wait_for_timeout(3000)
        voices.get_by_role("button", name="Resume").click()
        voices.wait_for_timeout(2000)
        stop(voices)
        without_the_pause = time.monotonic() - began - 3
        expect(voices.locator(".take .point")).to_have_count(5)
        assert 4 <= length_of_takes(voices) <= without_the_pause
        expect(voices.locator(".take .waveform rect").first).to_be_visible()
        expect(voices.locator(".take")).to_contain_text("Background noise")
        expect(voices.locator("#total")).to_contain_text("At least 0:10 are needed")
        assert voices.locator(".take audio").evaluate(f"audio => (audio.play(), ({PLAYED})(audio))")
        assert not VoiceProfile.objects.exists()
        assert not provider.requests

    def test_the_clock_works_without_a_level_meter(self, page: Page, server: Server, alice: User) -> None:
        page.add_init_script("Object.defineProperty(AudioContext.prototype, 'state', { get: () => 'suspended' });")
        open_voices(page, server, alice)
        record(page, 3)
        expect(page.locator("#level-word")).to_have_text("recording")
        assert length_of_takes(page) >= 2
        stop(page)
        expect(page.locator(".take .point")).to_have_count(5)

    def test_it_stops_at_the_limit(self, page: Page, server: Server, alice: User, settings: Settings) -> None:
        settings.MIN_SAMPLE_SECONDS, settings.MAX_SAMPLE_SECONDS = 1, 4
        open_voices(page, server, alice)
        page.get_by_role("button", name="Start recording").click()
        expect(page.get_by_role("status")).to_contain_text("the maximum length")
        expect(page.locator(".take .point")).to_have_count(5)
        assert 3 <= length_of_takes(page) <= 4

    def test_a_take_can_be_recorded_again(self, voices: Page) -> None:
        record(voices, 1)
        stop(voices)
        voices.get_by_role("button", name="Record again instead of Take 1").click()
        expect(voices.get_by_role("button", name="Stop recording")).to_be_visible()
        voices.wait_for_timeout(1000)
        stop(voices)
        expect(voices.locator(".take")).to_have_count(1)
        voices.get_by_role("button", name="Record more").click()
        voices.wait_for_timeout(1000)
        stop(voices)
        expect(voices.get_by_role("button", name="Remove Take 2")).to_be_visible()

    def test_a_microphone_can_be_chosen(self, voices: Page) -> None:
        record(voices, 1)
        stop(voices)
        expect(voices.locator(".take")).to_be_visible()
        voices.go_back()
        choice = voices.get_by_label("Microphone")
        choice.select_option(index=1)
        voices.get_by_role("button", name="Start recording").click()
        expect(choice).to_be_disabled()
        voices.wait_for_timeout(1000)
        stop(voices)
        expect(voices.locator(".take")).to_have_count(2)


class TestFiles:
    def test_files_are_checked_and_become_a_voice(self, voices: Page, provider: FakeProvider) -> None:
        add_files(voices)
        expect(voices.locator("#total")).to_contain_text("0:13 in all")
        voices.get_by_label("Name of the voice").fill("From files")
        voices.get_by_role("button", name="Make my voice").click()
        expect(voices.get_by_role("heading", name="Meet From files")).to_be_focused()
        (upload,) = provider.requests_to(VOICES_ADD)
        assert len(upload.files) == 2
        expect(voices.locator(".take")).to_have_count(0)

    def test_files_chosen_before_the_scripts_are_loaded_are_added(
        self, page: Page, server: Server, alice: User
    ) -> None:
        be_signed_in(page, server.url, alice)
        held: list[Route] = []
        page.route("**/js/voices.js", lambda route: held.append(route))
        with page.expect_request("**/js/voices.js"):
            page.goto(f"{server.url}/voices/", wait_until="commit")
        page.locator("#id_audio").set_input_files([LONG_CLIP, LONG_CLIP])
        held[0].continue_()
        expect(page.locator(".take .point")).to_have_count(10)

    def test_files_can_be_dropped(self, voices: Page) -> None:
        drop = voices.evaluate_handle(
            "data => { const drop = new DataTransfer(); const bytes = Uint8Array.from(atob(data), (c) =>"
            " c.charCodeAt(0)); drop.items.add(new File([bytes], 'dropped.wav')); return drop; }",
            base64.b64encode(LONG_CLIP.read_bytes()).decode(),
        )
        voices.dispatch_event("#dropzone", "drop", {"dataTransfer": drop})
        expect(voices.locator(".take")).to_contain_text("dropped.wav")
        expect(voices.locator(".take .point")).to_have_count(5)

    def test_an_unusable_file_is_explained_and_prevents_cloning(
        self, context: BrowserContext, server: Server, alice: User, tmp_path: Path
    ) -> None:
        text = tmp_path / "notes.txt"
        text.write_text("no recording")
        with faultless_page(context, expected="422") as page:
            open_voices(page, server, alice)
            add_files(page, [text])
            expect(page.locator(".take-verdict")).to_contain_text("not an audio file")
            expect(page.locator(".take audio")).to_be_hidden()
            page.get_by_label("Name of the voice").fill("Jane")
            page.get_by_role("button", name="Make my voice").click()
            expect(page.get_by_role("status")).to_contain_text("cannot be used")
            page.get_by_role("button", name="Remove notes.txt").click()
            expect(page.locator("#total")).to_have_text("No take yet.")


class TestNothingIsLost:
    def test_takes_survive_a_connection_cut_during_the_upload(
        self, context: BrowserContext, server: Server, alice: User, provider: FakeProvider
    ) -> None:
        with breaking_proxy(server) as proxy, faultless_page(context, expected="net::ERR_") as page:
            give_session(page, proxy.url, alice)
            page.goto(f"{proxy.url}/voices/")
            record(page, 5)
            stop(page)
            page.locator("#id_audio").set_input_files(LONG_CLIP)
            expect(page.locator(".take .point")).to_have_count(10)
            page.get_by_label("Name of the voice").fill("Held up")
            proxy.breaks_at = b"POST /api/v1/voices HTTP"
            page.get_by_role("button", name="Make my voice").click()
            expect(page.get_by_role("status")).to_contain_text("The connection was lost")
            expect(page.get_by_role("status")).to_contain_text("Your takes are kept here")
            assert proxy.breaks
            assert not VoiceProfile.objects.exists()
            proxy.breaks_at = b""

            page.reload()
            expect(page.locator(".take .point")).to_have_count(10)
            expect(page.get_by_label("Name of the voice")).to_have_value("Held up")
            page.get_by_role("button", name="Make my voice").click()
            expect(page.get_by_role("heading", name="Meet Held up")).to_be_focused()
            (upload,) = provider.requests_to(VOICES_ADD)
            assert len(upload.files) == 2
            # A busy machine stops late.
            assert LONG_CLIP_SECONDS + 4 < VoiceProfile.objects.get().sample_seconds < LONG_CLIP_SECONDS + 9

            page.reload()
            expect(page.locator("#total")).to_have_text("No take yet.")
            expect(page.locator("#draft")).to_be_hidden()

    def test_takes_survive_a_closed_tab(self, voices: Page, context: BrowserContext, server: Server) -> None:
        record(voices, 2)
        stop(voices)
        expect(voices.locator(".take .point")).to_have_count(5)
        voices.close()
        with faultless_page(context) as page:
            page.goto(f"{server.url}/voices/")
            page.get_by_role("link", name="Go on with it").click()
            expect(page.locator(".take")).to_be_visible()
            page.go_back()
            page.get_by_role("button", name="Delete it").click()
            expect(page.locator(".take")).to_have_count(0)
            page.reload()
            expect(page.locator("#total")).to_have_text("No take yet.")

    def test_takes_of_somebody_else_are_not_shown(
        self, voices: Page, context: BrowserContext, server: Server, bob: User
    ) -> None:
        add_files(voices, [LONG_CLIP])
        context.clear_cookies()
        open_voices(voices, server, bob)
        voices.wait_for_timeout(300)
        expect(voices.locator(".take")).to_have_count(0)

    def test_a_take_can_be_checked_later(self, context: BrowserContext, server: Server, alice: User) -> None:
        with faultless_page(context, expected="net::ERR_") as page:
            open_voices(page, server, alice)
            context.set_offline(True)
            page.locator("#id_audio").set_input_files(LONG_CLIP)
            expect(page.locator(".take-verdict")).to_contain_text("Not measured yet: The connection was lost")
            context.set_offline(False)
            page.get_by_role("button", name="Check again").click()
            expect(page.locator(".take .point")).to_have_count(5)

    def test_uploaded_takes_are_kept_with_a_voice_that_failed(
        self, context: BrowserContext, server: Server, alice: User, provider: FakeProvider
    ) -> None:
        provider.fail_next(VOICES_ADD, status=401, body=elevenlabs_error("quota_exceeded"))
        with faultless_page(context, expected="502") as page:
            open_voices(page, server, alice)
            add_files(page)
            page.get_by_label("Name of the voice").fill("Out of credit")
            page.get_by_role("button", name="Make my voice").click()
            expect(page.locator("#status")).to_contain_text("no credit left")
            expect(page.locator(".take")).to_have_count(0)
            page.get_by_role("button", name="Try again Out of credit").click()
            expect(page.locator("#status")).to_contain_text("Your voice Out of credit is ready")
        assert VoiceProfile.objects.get().status == "ready"

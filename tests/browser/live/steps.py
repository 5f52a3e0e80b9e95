"""Steps of live conversations on the Talk page, and what passes over their sockets."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from apps.speech.base import Recording
from tests.audio_samples import clip

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocket

    from tests.conftest import Server

QUESTION, SECOND_QUESTION, LONG_QUESTION = (clip(f"austen-{number}.wav") for number in ("0880", "0930", "0870"))
WITH_PAUSE = [Recording(QUESTION.pcm[: -2 * 2400], QUESTION.sample_rate), SECOND_QUESTION]  # Of 0.3 seconds.
# With processing, Chromium distorts the sound of its fake microphone. A policy that forbids something is a fault.
INIT = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
navigator.mediaDevices.getUserMedia = ({ audio }) => ask({ audio: { ...audio, ...raw } });
document.addEventListener("securitypolicyviolation", (event) => console.error("CSP", event.blockedURI));
"""
BROKEN_CONNECTION = "WebSocket connection to"  # Chromium reports it in the console.
REFUSED = """
const Native = WebSocket;
window.WebSocket = class extends Native {
  constructor(url) { super(true ? url.replace("realtime", "nowhere") : url); }
};
"""
LATENCIES = """() => {
  const times = (name) => performance.getEntriesByName(name).map((mark) => mark.startTime);
  return times("first-sound").map((sound) => sound - times("question-ended").filter((time) => time < sound).at(-1));
}"""


NOTE_STATES = """() => {
  const { dataset } = document.documentElement;
  window.states = [];
  new MutationObserver(() => window.states.push([dataset.turnState, performance.now()]))
    .observe(document.documentElement, { attributeFilter: ["data-turn-state"] });
}"""


class Frames:
    """The events on the sockets of a page, with the times at which they were seen."""

    def __init__(self, page: Page) -> None:
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.received: list[tuple[float, dict[str, Any]]] = []
        page.on("websocket", self._watch)

    def _watch(self, socket: WebSocket) -> None:
        def note(frames: list[tuple[float, dict[str, Any]]]) -> Callable[[Any], None]:
            return lambda frame: frames.append((time.monotonic(), json.loads(frame)))

        socket.on("framesent", note(self.sent))
        socket.on("framereceived", note(self.received))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for _time, event in [*self.sent, *self.received] if event["type"] == kind]


def wait_for_state(page: Page, state: str) -> None:
    page.wait_for_selector(f"html[data-turn-state={state}]", timeout=40_000)


def wait_for_answer(page: Page) -> None:
    wait_for_state(page, "speaking")
    wait_for_state(page, "ready")


def listen(page: Page) -> None:
    page.get_by_role("switch", name="Hands-free").check()
    page.get_by_role("button", name="Start listening").click()
    wait_for_state(page, "listening")


def start_recording(page: Page) -> None:
    page.get_by_role("button", name="Start recording").click()
    wait_for_state(page, "listening")


def cut(server: Server) -> None:
    """Break all connections, as a network does."""
    state = server.uvicorn.server_state
    loop = server.uvicorn.servers[0].get_loop()
    for connection in list(state.connections):
        loop.call_soon_threadsafe(connection.transport.abort)


def uploads(page: Page) -> list[str]:
    """Return a list that will have the address of each question that is uploaded."""
    found: list[str] = []
    page.on("request", lambda request: found.append(request.url) if request.url.endswith("/turns") else None)
    return found


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")

/** The Talk page: connects its controls with listening, asking and answering. */

import { endTurn, interrupt, isTurnRunning, toggleMuted } from "./answering.js";
import { retry } from "./asking.js";
import { isHandsFree, voiceMissing, watchSettings } from "./conversation-settings.js";
import { around, atTarget, byId, find } from "./elements.js";
import { watchHolding } from "./hold-button.js";
import { sendKept } from "./kept-take.js";
import {
  askTyped,
  closeMicrophone,
  modeChanged,
  prepare,
  recordQuestion,
  settingsSaved,
  startHandsFree,
  stop,
  throwAway,
} from "./listening.js";
import { announce, text } from "./page.js";
import { audioContext } from "./sound.js";
import { watchSpaceBar } from "./space-bar.js";
import { watchTextBox } from "./text-box.js";
import { capture, enter, isAnswering, recordAction } from "./turn-state.js";

const FIELDS = "input, textarea, select";

const recordButton = byId("record", "button");
const typeForm = byId("type", "form");
const turns = byId("turns");

function pressRecord() {
  if (capture.isAsking) return;
  if (capture.recorder) {
    performance.mark("question-ended");
    audioContext(); // A finger that is lifted lets sound start.
    capture.recorder.stop();
  } else if (capture.microphone) {
    pressRecordHandsFree(capture.microphone);
  } else if (!voiceMissing()) {
    if (isHandsFree()) startHandsFree();
    else recordQuestion();
  }
}

/** @param {import("./turn-state.js").Microphone} microphone */
function pressRecordHandsFree(microphone) {
  if (isAnswering()) {
    interrupt();
  } else if (microphone.hearing) {
    microphone.send();
  } else {
    closeMicrophone();
    enter("ready", text("hands-free-ended"));
  }
}

function toggleMute() {
  const isMuted = toggleMuted();
  byId("mute").setAttribute("aria-pressed", String(isMuted));
  announce(text(isMuted ? "muted" : "unmuted"));
}

/** @param {string} question @returns {boolean} whether it is asked */
function sendTyped(question) {
  if (capture.isAsking || voiceMissing()) return false;
  askTyped(question);
  return true;
}

/** @param {MouseEvent} event */
function sendSuggestion(event) {
  const suggestion = atTarget(event, ".suggestion");
  if (suggestion && sendTyped(suggestion.textContent.trim())) recordButton.focus(); // The suggestions disappear.
}

/** @param {MouseEvent} event */
function pressRetry(event) {
  const button = atTarget(event, ".retry");
  if (button) retry(around(button, ".turn"));
}

function pressThrowAway() {
  throwAway();
  recordButton.focus(); // The pressed button disappears.
}

/** A replay starts: stop recording, so that the replay is not recorded, and stop the answer. */
function replayStarted() {
  if (!capture.recorder && !capture.microphone && !isTurnRunning()) return;
  closeMicrophone();
  endTurn();
  if (capture.recorder) throwAway();
  else enter("ready");
}

/** @param {KeyboardEvent} event Escape closes menus first, and belongs to a field while there is something in it */
function pressKey(event) {
  if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
  const field = /** @type {HTMLInputElement | null} */ (atTarget(event, FIELDS));
  const isEmptyTextBox = field?.id === "text" && !field.value;
  if (!field || isEmptyTextBox) stop();
}

const clicks = {
  stop,
  mute: toggleMute,
  "no-turns": sendSuggestion,
  "send-kept": sendKept,
  "throw-away": pressThrowAway,
  turns: pressRetry,
};
for (const [id, click] of Object.entries(clicks)) byId(id).addEventListener("click", click);
const button = {
  press: pressRecord,
  startsRecording: () => recordAction() === "start",
  isRecording: () => capture.recorder !== null,
};
watchHolding(recordButton, {
  ...button,
  onHeld: () => announce(text("held")),
  onCancelled: () => throwAway(text("interrupted")),
});
watchSpaceBar(button);
watchTextBox(typeForm, byId("text", "textarea"), sendTyped);
for (const sign of ["pointerover", "keydown", "focusin"]) document.addEventListener(sign, prepare, { once: true });
turns.addEventListener("play", replayStarted, true); // This event does not bubble.
document.addEventListener("keydown", pressKey);
watchSettings({ onModeChange: modeChanged, onSaved: settingsSaved });
document.documentElement.dataset.turnState = "ready";
modeChanged();
recordButton.disabled = false;
find(typeForm, "[type=submit]", "button").disabled = false;
turns.lastElementChild?.scrollIntoView({ block: "end" });

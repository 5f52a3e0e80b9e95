/** The Talk page: connects its controls with listening, asking and answering. */

import { endTurn, interrupt, isTurnRunning, toggleMuted } from "./answering.js";
import { ask, retry } from "./asking.js";
import { isHandsFree, voiceMissing, watchSettings } from "./conversation-settings.js";
import { around, atTarget, byId, find } from "./elements.js";
import {
  closeMicrophone,
  discardRecording,
  modeChanged,
  recordQuestion,
  sendInterrupted,
  settingsSaved,
  startHandsFree,
  stop,
} from "./listening.js";
import { announce, announceError, text } from "./page.js";
import { audioContext } from "./sound.js";
import { watchSpaceBar } from "./space-bar.js";
import { capture, enter, isAnswering, recordAction } from "./turn-state.js";

const recordButton = byId("record", "button");
const questionField = byId("text", "input");
const typeForm = byId("type", "form");
const turns = byId("turns");

function pressRecord() {
  if (capture.isAsking) return;
  if (capture.recorder) {
    performance.mark("question-ended");
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

async function pressCall() {
  if (capture.isAsking || voiceMissing()) return;
  audioContext(); // After an await it might not start.
  try {
    const { openCall } = await import("./call/call.js");
    await openCall();
  } catch {
    announceError(new Error(text("connection-lost")));
  }
}

/** @param {SubmitEvent} event */
function sendTyped(event) {
  event.preventDefault();
  const question = questionField.value.trim();
  if (!question || capture.isAsking || voiceMissing()) return;
  questionField.value = "";
  ask({ text: question });
}

/** @param {MouseEvent} event */
function sendSuggestion(event) {
  const suggestion = atTarget(event, ".suggestion");
  if (!suggestion || capture.isAsking || voiceMissing()) return;
  recordButton.focus(); // The suggestions disappear.
  ask({ text: suggestion.textContent.trim() });
}

/** @param {MouseEvent} event */
function pressRetry(event) {
  const button = atTarget(event, ".retry");
  if (button) retry(around(button, ".turn"));
}

/** A replay starts: stop recording, so that the replay is not recorded, and stop the answer. */
function replayStarted() {
  if (!capture.recorder && !capture.microphone && !isTurnRunning()) return;
  closeMicrophone();
  discardRecording();
  endTurn();
  enter("ready");
}

/** @param {KeyboardEvent} event */
function pressKey(event) {
  if (event.key === "Escape" && !atTarget(event, ".menu")) stop();
}

const clicks = {
  record: pressRecord,
  stop,
  mute: toggleMute,
  call: pressCall,
  "no-turns": sendSuggestion,
  "record-again": pressRecord,
  "send-interrupted": sendInterrupted,
  turns: pressRetry,
};
for (const [id, click] of Object.entries(clicks)) byId(id).addEventListener("click", click);
typeForm.addEventListener("submit", sendTyped);
turns.addEventListener("play", replayStarted, true); // This event does not bubble.
document.addEventListener("keydown", pressKey);
watchSpaceBar({
  press: pressRecord,
  startsRecording: () => recordAction() === "start",
  isRecording: () => capture.recorder !== null,
});
watchSettings({ onModeChange: modeChanged, onSaved: settingsSaved });
document.documentElement.dataset.turnState = "ready";
modeChanged();
recordButton.disabled = false;
byId("call", "button").disabled = false;
find(typeForm, "[type=submit]", "button").disabled = false;
turns.lastElementChild?.scrollIntoView({ block: "end" });

/** The Talk page: connects its controls with listening, asking and answering. */

import { areAnswersMuted, endTurn, interrupt, isTurnRunning, toggleMuted } from "./answering.js";
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
  tryAgain,
} from "./listening.js";
import { announce, announceError, text } from "./page.js";
import { watchPageState } from "./page-state.js";
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
    else recordQuestion(isHeld);
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

const loadActions = () => import("./asking-again.js");

/** @param {MouseEvent} event on a turn: go on with it, ask it again, edit its question, or stop it */
async function pressAction(event) {
  const button = atTarget(event, ".retry, .again, .edit, .halt");
  if (!button) return;
  const item = around(button, ".turn");
  if (button.classList.contains("retry") && item.dataset.status === "failed") {
    tryAgain(item);
    return;
  }
  audioContext(); // After an await it might not start.
  const { act } = await loadActions();
  act(button, item);
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
  call: pressCall,
  "no-turns": sendSuggestion,
  "send-kept": sendKept,
  "throw-away": pressThrowAway,
  turns: pressAction,
};
for (const [id, click] of Object.entries(clicks)) byId(id).addEventListener("click", click);
const button = {
  press: pressRecord,
  startsRecording: () => recordAction() === "start",
  isRecording: () => capture.recorder !== null,
};
const isHeld = watchHolding(recordButton, {
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
byId("mute").setAttribute("aria-pressed", String(areAnswersMuted()));
watchPageState();
for (const sign of ["pointerover", "focusin"]) turns.addEventListener(sign, loadActions, { once: true });
recordButton.disabled = false;
byId("call", "button").disabled = false;
find(typeForm, "[type=submit]", "button").disabled = false;
if (!location.hash.startsWith("#turn-")) turns.lastElementChild?.scrollIntoView({ block: "end" });

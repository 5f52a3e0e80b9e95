/** The Talk page: connects its controls with listening, asking and answering. */

import { areAnswersMuted, endTurn, interrupt, isTurnRunning, toggleMuted } from "./answering.js";
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
import { announce, text } from "./page.js";
import { watchPageState } from "./page-state.js";
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

const loadActions = () => import("./asking-again.js");

/** @param {MouseEvent} event on a turn: go on with it, ask it again, edit its question, or stop it */
async function pressAction(event) {
  const button = atTarget(event, ".retry, .again, .edit, .halt");
  if (!button) return;
  const item = around(button, ".turn");
  if (button.classList.contains("retry") && item.dataset.status === "failed") {
    retry(item);
    return;
  }
  audioContext(); // After an await it might not start.
  const { askAgain, edit, goOn, halt } = await loadActions();
  const actions = { retry: goOn, again: askAgain, edit, halt };
  for (const [name, act] of Object.entries(actions)) {
    if (button.classList.contains(name)) act(item);
  }
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
  "no-turns": sendSuggestion,
  "record-again": pressRecord,
  "send-interrupted": sendInterrupted,
  turns: pressAction,
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
byId("mute").setAttribute("aria-pressed", String(areAnswersMuted()));
watchPageState();
for (const sign of ["pointerover", "focusin"]) turns.addEventListener(sign, loadActions, { once: true });
import("./keeping-up.js").catch(() => {}); // The page is as it was loaded.
recordButton.disabled = false;
find(typeForm, "[type=submit]", "button").disabled = false;
if (!location.hash.startsWith("#turn-")) turns.lastElementChild?.scrollIntoView({ block: "end" });

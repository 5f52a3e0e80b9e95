/** The consent page: records the statement, and sends it. */

import { ApiError, request, upload } from "./api.js";
import { byId, create, find } from "./elements.js";
import { chosenMicrophone, showLevel, showLevelWord, showMicrophoneProblem, showMicrophones } from "./microphone.js";
import { announce, announceError, clock, text } from "./page.js";
import { microphoneProblem, Recorder } from "./recorder.js";

/**
 * @typedef {{blob: Blob, name: string}} Recording
 * @typedef {{id: string, statement: string, code_words: string[], expires_at: string}} Challenge
 */

const form = byId("consent-form", "form");
const fileField = find(form, "[name=audio]", "input");
const challengeField = find(form, "[name=challenge]", "input");
const nameField = find(form, "[name=name]", "input");
const recordButton = byId("record", "button");
const audio = byId("take", "audio");
const progressBar = byId("progress-bar", "progress");

/** @type {Recorder | null} */
let recorder = null;
/** @type {Recording | null} */
let recording = null;
let isBusy = false; // asking for permission, or sending
/** @type {number | undefined} */
let expiryTimer;

function showState() {
  const action = recording ? "start-again" : "start";
  find(recordButton, ".label").textContent = text(recorder ? "stop" : action);
  byId("recording").classList.toggle("live", Boolean(recorder));
  byId("device", "select").disabled = Boolean(recorder);
  if (!recorder) showLevelWord(text("level-off"), "");
}

/** @param {Recording | null} newRecording */
function setRecording(newRecording) {
  recording = newRecording;
  URL.revokeObjectURL(audio.src);
  audio.hidden = !recording;
  if (recording) audio.src = URL.createObjectURL(recording.blob);
  else audio.removeAttribute("src");
  if (!recording) byId("clock").textContent = clock(0);
  showState();
}

/** @param {import("./recorder.js").Level} level */
function showProgress(level) {
  showLevel(level);
  byId("clock").textContent = clock(level.seconds);
}

async function record() {
  isBusy = true;
  announce(text("asking"));
  try {
    const deviceId = chosenMicrophone();
    const maxSeconds = Number(form.dataset.maxSeconds);
    recorder = await Recorder.start({ processing: false, deviceId, maxSeconds, onLevel: showProgress });
  } catch (error) {
    showMicrophoneProblem(text(microphoneProblem(error)));
    return;
  } finally {
    isBusy = false;
  }
  showMicrophoneProblem();
  fileField.value = "";
  setRecording(null);
  showMicrophones();
  announce(text("recording"));
  byId("statement").scrollIntoView({ block: "nearest" }); // On narrow screens it is above the controls.
  const take = await recorder.finished;
  recorder = null;
  setRecording(take.heard ? take : null);
  byId(take.heard ? "gauge" : "record").scrollIntoView({ block: "center" });
  announce(text(take.heard ? "take-kept" : "take-silent"), take.heard ? "" : "error");
}

function pressRecord() {
  if (isBusy) return;
  if (recorder) recorder.stop();
  else record();
}

function chooseFile() {
  const file = fileField.files?.[0];
  if (!file) return;
  setRecording({ blob: file, name: file.name });
  announce(text("file-chosen"));
}

/** @param {SubmitEvent} event */
async function send(event) {
  event.preventDefault();
  if (isBusy || recorder) return;
  if (!recording) {
    announce(text("need-recording"), "error");
    recordButton.focus();
    return;
  }
  setBusy(true);
  const body = new FormData();
  body.append("challenge", challengeField.value);
  body.append("audio", recording.blob, recording.name);
  try {
    await upload("/api/v1/consents", body, showUpload);
    announce(text("given"));
    window.location.assign(String(form.dataset.next));
  } catch (error) {
    await explain(error);
    setBusy(false);
  }
}

/**
 * Report an error. If the server has judged the recording, its statement is used up, and there is a new one to read.
 * @param {unknown} error
 */
async function explain(error) {
  if (!(error instanceof ApiError)) throw error;
  if (error.retryable) {
    announceError(error);
    return;
  }
  await renewStatement(text("refused", { message: error.message }));
  byId("statement").scrollIntoView({ block: "nearest" });
}

/** @param {boolean} isSending */
function setBusy(isSending) {
  isBusy = isSending;
  byId("send").setAttribute("aria-disabled", String(isSending));
  byId("progress").hidden = !isSending;
}

/** @param {number} share of the upload, 0 to 1 */
function showUpload(share) {
  const message = share < 1 ? text("sending", { percent: Math.floor(share * 100) }) : text("listening");
  byId("progress-text").textContent = message;
  if (share < 1) {
    progressBar.value = share;
    return;
  }
  progressBar.removeAttribute("value");
  announce(message);
}

/**
 * Replace the statement with a new one.
 * @param {string} message the reason
 */
async function renewStatement(message) {
  try {
    const response = await request("POST", "/api/v1/consents/challenges", { body: { name: nameField.value } });
    showChallenge(await response.json());
    announce(message, "error");
  } catch (error) {
    announceError(error);
  }
}

/** @param {Challenge} challenge */
function showChallenge(challenge) {
  challengeField.value = challenge.id;
  byId("statement").textContent = challenge.statement;
  byId("code-words").replaceChildren(...challenge.code_words.map((word) => create("li", { textContent: word })));
  form.dataset.expires = challenge.expires_at;
  setRecording(null);
  watchExpiry();
}

function watchExpiry() {
  clearTimeout(expiryTimer);
  expiryTimer = setTimeout(replaceExpired, Date.parse(String(form.dataset.expires)) - Date.now());
}

/** Replace an expired statement. During recording and sending the server's answer reports that it has expired. */
function replaceExpired() {
  if (!isBusy && !recorder) renewStatement(text("expired"));
}

form.noValidate = true; // The recording is not in the file field.
fileField.required = false;
form.addEventListener("submit", send);
fileField.addEventListener("change", chooseFile);
recordButton.addEventListener("click", pressRecord);
recordButton.disabled = false;
window.addEventListener("beforeunload", (event) => {
  if (recorder) event.preventDefault();
});
showState();
chooseFile(); // A file may have been chosen before this script was loaded.
watchExpiry();

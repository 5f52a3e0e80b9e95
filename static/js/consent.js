/** The page of the consent: record the statement, and send it. */

import { ApiError, request, upload } from "./api.js";
import { chosenMicrophone, showLevel, showLevelWord, showMicrophoneProblem, showMicrophones } from "./microphone.js";
import { announce, clock, text } from "./page.js";
import { microphoneProblem, Recorder } from "./recorder.js";

const byId = (id) => document.getElementById(id);
const form = byId("consent-form");
const field = (name) => form.elements.namedItem(name);

/** @type {Recorder | null} */
let recorder = null;
/** @type {{blob: Blob, name: string} | null} */
let take = null;
let busy = false; // asking for the microphone, or sending
let expiry;

function showRecording() {
  const state = recorder ? "stop" : take ? "start-again" : "start";
  byId("record").querySelector(".label").textContent = text(state);
  byId("recording").classList.toggle("live", Boolean(recorder));
  byId("device").disabled = Boolean(recorder);
  if (!recorder) showLevelWord(text("level-off"), "");
}

/** @param {{blob: Blob, name: string} | null} sound */
function showTake(sound) {
  take = sound;
  const audio = byId("take");
  URL.revokeObjectURL(audio.src);
  audio.hidden = !sound;
  if (sound) audio.src = URL.createObjectURL(sound.blob);
  else audio.removeAttribute("src");
  if (!sound) byId("clock").textContent = clock(0);
  showRecording();
}

async function record() {
  busy = true;
  announce(text("asking"));
  try {
    const onLevel = (level) => {
      showLevel(level);
      byId("clock").textContent = clock(level.seconds);
    };
    const maxSeconds = Number(form.dataset.maxSeconds);
    recorder = await Recorder.start({ processing: false, deviceId: chosenMicrophone(), maxSeconds, onLevel });
  } catch (error) {
    showMicrophoneProblem(text(microphoneProblem(error)));
    return;
  } finally {
    busy = false;
  }
  showMicrophoneProblem();
  field("audio").value = "";
  showTake(null);
  showMicrophones();
  announce(text("recording"));
  byId("statement").scrollIntoView({ block: "nearest" }); // On narrow screens it stands above the controls.
  const recorded = await recorder.finished;
  recorder = null;
  showTake(recorded.heard ? recorded : null);
  byId(recorded.heard ? "take" : "record").scrollIntoView({ block: "center" });
  announce(text(recorded.heard ? "take-kept" : "take-silent"), recorded.heard ? "" : "error");
}

function pressRecord() {
  if (busy) return;
  if (recorder) recorder.stop();
  else record();
}

function chooseFile() {
  const [file] = field("audio").files;
  if (!file) return;
  showTake({ blob: file, name: file.name });
  announce(text("file-chosen"));
}

async function send(event) {
  event.preventDefault();
  if (busy || recorder) return;
  if (!take) {
    announce(text("need-recording"), "error");
    byId("record").focus();
    return;
  }
  setBusy(true);
  const body = new FormData();
  body.append("challenge", field("challenge").value);
  body.append("audio", take.blob, take.name);
  try {
    await upload("/api/v1/consents", body, showUpload);
    announce(text("given"));
    window.location.assign(form.dataset.next);
  } catch (error) {
    await explain(error);
    setBusy(false);
  }
}

/** Say what failed. A recording that could be heard has used its statement up: there is a new one to read. */
async function explain(error) {
  if (!(error instanceof ApiError)) throw error;
  if (error.retryable) {
    announce(error.message, "error");
    return;
  }
  await renew(text("refused", { message: error.message }));
  byId("statement").scrollIntoView({ block: "nearest" });
}

function setBusy(is) {
  busy = is;
  byId("send").setAttribute("aria-disabled", String(is));
  byId("progress").hidden = !is;
}

/** @param {number} share of the upload, 0 to 1 */
function showUpload(share) {
  const message = share < 1 ? text("sending", { percent: Math.floor(share * 100) }) : text("listening");
  byId("progress-text").textContent = message;
  if (share < 1) {
    byId("progress-bar").value = share;
    return;
  }
  byId("progress-bar").removeAttribute("value");
  announce(message);
}

/** Put a new statement in place of the old one. @param {string} message why */
async function renew(message) {
  try {
    const answer = await request("POST", "/api/v1/consents/challenges", { body: { name: field("name").value } });
    showChallenge(await answer.json());
    announce(message, "error");
  } catch (error) {
    announce(error.message, "error");
  }
}

function showChallenge(challenge) {
  field("challenge").value = challenge.id;
  byId("statement").textContent = challenge.statement;
  const words = challenge.code_words.map((word) => Object.assign(document.createElement("li"), { textContent: word }));
  byId("code-words").replaceChildren(...words);
  form.dataset.expires = challenge.expires_at;
  showTake(null);
  watchExpiry();
}

function watchExpiry() {
  clearTimeout(expiry);
  expiry = setTimeout(expire, new Date(form.dataset.expires) - Date.now());
}

/** @returns {Promise<void> | void} what is being recorded or sent is judged by the server, which tells the same */
function expire() {
  if (!busy && !recorder) return renew(text("expired"));
}

form.noValidate = true; // The recording is not in the file field.
field("audio").required = false;
form.addEventListener("submit", send);
field("audio").addEventListener("change", chooseFile);
byId("record").addEventListener("click", pressRecord);
byId("record").disabled = false;
window.addEventListener("beforeunload", (event) => {
  if (recorder) event.preventDefault();
});
showRecording();
chooseFile(); // It may have been chosen before this script had come.
watchExpiry();

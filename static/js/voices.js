/** The My voices page: record or choose takes and clone a voice from them. */

import { upload } from "./api.js";
import { chosenMicrophone, showLevel, showLevelWord, showMicrophoneProblem, showMicrophones } from "./microphone.js";
import { announce, clock, text } from "./page.js";
import { microphoneProblem, Recorder } from "./recorder.js";
import { TakeList } from "./take-list.js";
import { refreshVoices, showVoice, voiceIds } from "./voice-cards.js";

const FULL = 2; // seconds to the longest sample: not worth another take
const STAGE_INTERVAL = 1000; // milliseconds

const byId = (id) => document.getElementById(id);
const form = byId("clone-form");
const nameField = form.elements.namedItem("name");
const fileField = form.elements.namedItem("audio");
const rules = {
  minimum: Number(form.dataset.minSeconds),
  recommended: Number(form.dataset.recommendedMinSeconds),
  recommendedMost: Number(form.dataset.recommendedMaxSeconds),
  maximum: Number(form.dataset.maxSeconds),
};
const nameKey = `voice-name-${form.dataset.owner}`; // in the local storage: as the takes, it survives the tab
const takes = new TakeList(byId("takes"), byId("take"), {
  onChange: showTotal,
  onChecked: tellChecked,
  onRemoved: tellRemoved,
  onRepeat: pressRecord,
});

/** @type {Recorder | null} */
let recorder = null;
let asking = false; // for the microphone
let cloning = false;
let warned = false; // of something that is worth more than how good a take is

const room = () => rules.maximum - takes.seconds;

// Recording

function showRecording() {
  const state = recorder ? "stop" : "start";
  byId("record").querySelector(".label").textContent = text(takes.seconds && !recorder ? "start-another" : state);
  byId("pause").hidden = !recorder;
  byId("pause").textContent = text(recorder?.paused ? "resume" : "pause");
  byId("device").disabled = Boolean(recorder);
  byId("recording").classList.toggle("live", Boolean(recorder));
  byId("recording").classList.toggle("paused", Boolean(recorder?.paused));
  if (recorder) announce(text(recorder.paused ? "paused" : "recording"));
  if (!recorder || recorder.paused) showLevelWord(text(recorder ? "level-paused" : "level-off"), "");
}

/** @param {import("./recorder.js").Level} level */
function showProgress(level) {
  showLevel(level);
  showLength(takes.seconds + level.seconds);
}

function showLength(seconds) {
  byId("clock").textContent = clock(seconds);
  byId("timeline-done").setAttribute("width", `${Math.min(100, (seconds / rules.maximum) * 100)}%`);
}

async function record() {
  if (room() < FULL) {
    announce(text("take-full"));
    return;
  }
  asking = true;
  warned = false;
  announce(text("asking"));
  try {
    const deviceId = chosenMicrophone();
    recorder = await Recorder.start({ processing: false, deviceId, maxSeconds: room(), onLevel: showProgress });
  } catch (error) {
    showMicrophoneProblem(text(microphoneProblem(error)));
    return;
  } finally {
    asking = false;
  }
  showMicrophoneProblem();
  showRecording();
  showMicrophones();
  document.querySelector(".reading").scrollIntoView(); // On narrow screens the text stands above the controls.
  const take = await recorder.finished;
  recorder = null;
  await keepRecording(take);
  showRecording();
}

/** @param {import("./recorder.js").Take} take */
async function keepRecording(take) {
  if (!take.heard) {
    showLength(takes.seconds);
    announce(text("take-silent"), "error");
    return;
  }
  const stored = await takes.keep(take);
  byId("takes").lastElementChild.scrollIntoView({ block: "center" });
  warned = !stored || Boolean(take.interrupted) || room() < FULL;
  if (!stored) announce(text("takes-not-stored"), "error");
  else if (take.interrupted) announce(text(`take-interrupted-${take.interrupted}`), "error");
  else if (room() < FULL) announce(text("take-full"));
  else announce(text("take-kept", { duration: clock(take.seconds) }));
}

function pressRecord() {
  if (asking || cloning) return;
  if (recorder) recorder.stop();
  else record();
}

function pressPause() {
  if (recorder.paused) recorder.resume();
  else recorder.pause();
  showRecording();
}

// Takes

function showTotal() {
  const [key, verdict] = totalVerdict();
  byId("total").textContent = text(key, durations());
  byId("total").dataset.verdict = verdict;
  if (!takes.takes.length) byId("draft").hidden = true;
  if (!recorder) {
    showLength(takes.seconds);
    showRecording();
  }
}

function durations() {
  const entries = Object.entries({ ...rules, total: takes.seconds });
  return Object.fromEntries(entries.map(([name, seconds]) => [name, clock(seconds)]));
}

/** @returns {[string, "" | "good" | "weak" | "refused"]} the text about the length of all takes, and what it means */
function totalVerdict() {
  const total = takes.seconds;
  if (!takes.takes.length) return ["total-none", ""];
  if (total > rules.maximum + 1) return ["total-long", "refused"]; // The server allows a second more, too.
  if (total < rules.minimum) return ["total-short", "refused"];
  if (total < rules.recommended) return ["total-more", "weak"];
  return total > rules.recommendedMost + 1 ? ["total-much", "weak"] : ["total-good", "good"];
}

/** @param {Iterable<File>} files */
async function addFiles(files) {
  const added = [...files];
  warned = false;
  for (const file of added) if (!(await takes.keep({ blob: file, name: file.name, seconds: 0 }))) warned = true;
  if (warned) announce(text("takes-not-stored"), "error");
  else if (added.length) announce(text("files-added"));
}

function chooseFiles() {
  const files = [...fileField.files];
  fileField.value = "";
  addFiles(files);
}

function drop(event) {
  event.preventDefault();
  byId("dropzone").classList.remove("dropping");
  addFiles(event.dataTransfer.files);
}

/** @param {string} name @param {string} verdict */
function tellChecked(name, verdict) {
  if (!recorder && !cloning && !warned) announce(text("take-checked", { name, verdict }));
}

function tellRemoved() {
  announce(text("take-removed"));
  byId("record").focus();
}

async function restore() {
  nameField.value ||= localStorage.getItem(nameKey) ?? "";
  const count = await takes.restore(form.dataset.owner);
  if (!count) return;
  byId("draft").hidden = false;
  announce(text("takes-restored"));
}

async function discardTakes() {
  await takes.clear();
  tellRemoved();
}

// Cloning

/** @returns {{field: HTMLElement, message: string} | null} what is missing */
function problem() {
  if (!nameField.value.trim()) return { field: nameField, message: text("need-name") };
  if (!takes.takes.length) return { field: byId("record"), message: text("need-take") };
  const refused = takes.takes.find((take) => take.refusal);
  if (refused) return { field: byId("takes"), message: text("need-usable", { message: refused.refusal }) };
  // A file whose length is not known yet counts as 0 seconds; then the server alone can judge.
  const known = takes.takes.every((take) => take.seconds > 0);
  const [key, verdict] = totalVerdict();
  return known && verdict === "refused" ? { field: byId("record"), message: text(key, durations()) } : null;
}

async function clone(event) {
  event.preventDefault();
  if (cloning || recorder) return;
  const missing = problem();
  showFieldError(nameField, missing?.field === nameField ? missing.message : "");
  if (missing) {
    announce(missing.message, "error");
    missing.field.focus();
    return;
  }
  const before = voiceIds();
  setCloning(true);
  try {
    const voice = await upload("/api/v1/voices", sample(), showUpload);
    await forget();
    await refreshVoices();
    showVoice(voice.id);
    announce(text("clone-ready", { name: voice.name }));
  } catch (error) {
    await explain(error, before);
  } finally {
    setCloning(false);
  }
}

/** Say what failed. A voice that is there all the same shows that the server has the takes: the list says the rest. */
async function explain(error, before) {
  showFieldError(nameField, error.fields?.name?.join(" ") ?? "");
  await refreshVoices();
  const arrived = voiceIds().find((id) => !before.includes(id));
  if (arrived && error.retryable) {
    await forget();
    showVoice(arrived);
    announce(text("clone-kept", { message: error.message })); // The voice itself goes on saying it.
    return;
  }
  announce(text("clone-failed", { message: error.message }), "error");
}

async function forget() {
  await takes.clear();
  nameField.value = "";
  localStorage.removeItem(nameKey);
}

function sample() {
  const body = new FormData();
  body.append("name", nameField.value.trim());
  for (const take of takes.takes) body.append("audio", take.blob, take.name);
  return body;
}

function setCloning(busy) {
  cloning = busy;
  byId("clone").setAttribute("aria-disabled", String(busy));
  byId("progress").hidden = !busy;
  if (!busy) return;
  byId("draft").hidden = true;
  document.querySelector(".messages")?.remove(); // They were about what is done before.
  showStage("sending");
  byId("progress").scrollIntoView({ block: "center" });
}

/** @param {number} share of the upload, 0 to 1 */
function showUpload(share) {
  byId("progress-text").textContent = text("uploading", { percent: Math.floor(share * 100) });
  byId("progress-bar").value = share;
  if (share >= 1) watchStages(voiceIds());
}

/** The server answers when all is done; that the voice is in the list tells that its recordings were accepted. */
async function watchStages(before) {
  showStage("checking");
  while (cloning) {
    await new Promise((resolve) => setTimeout(resolve, STAGE_INTERVAL));
    if (cloning) await refreshVoices();
    if (cloning && voiceIds().some((id) => !before.includes(id))) {
      showStage("making");
      return;
    }
  }
}

/** @param {"sending" | "checking" | "making"} stage */
function showStage(stage) {
  for (const item of byId("stages").children) item.toggleAttribute("aria-current", false);
  byId("stages").querySelector(`[data-stage=${stage}]`).setAttribute("aria-current", "step");
  announce(text(stage));
  if (stage === "sending") return;
  byId("progress-text").textContent = text(stage);
  byId("progress-bar").removeAttribute("value");
}

/** @param {HTMLInputElement} field @param {string} message "" takes the error away */
function showFieldError(field, message) {
  const id = `${field.id}_error`;
  byId(id)?.remove();
  field.toggleAttribute("aria-invalid", false);
  field.closest(".field").classList.toggle("field-invalid", Boolean(message));
  if (!message) return;
  const list = document.createElement("ul");
  list.id = id;
  list.className = "errorlist";
  list.append(Object.assign(document.createElement("li"), { textContent: message }));
  field.before(list);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
}

form.noValidate = true; // The takes are not in the file field, and what is missing is said by problem().
fileField.required = false;
form.addEventListener("submit", clone);
fileField.addEventListener("change", chooseFiles);
nameField.addEventListener("input", () => localStorage.setItem(nameKey, nameField.value));
byId("record").addEventListener("click", pressRecord);
byId("record").disabled = false;
byId("pause").addEventListener("click", pressPause);
byId("draft-discard").addEventListener("click", discardTakes);
byId("dropzone").addEventListener("drop", drop);
byId("dropzone").addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("dropzone").classList.add("dropping");
});
byId("dropzone").addEventListener("dragleave", () => byId("dropzone").classList.remove("dropping"));
window.addEventListener("beforeunload", (event) => {
  if (recorder || cloning) event.preventDefault();
});
await restore();
if (fileField.files.length) chooseFiles(); // They were chosen before this script had come.

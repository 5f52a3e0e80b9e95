/** The My voices page: record or choose takes and clone a voice from them. */

import { upload } from "./api.js";
import { announce, clock, text } from "./page.js";
import { loudness, microphoneProblem, microphones, Recorder } from "./recorder.js";
import { TakeStore } from "./takes.js";
import { refreshVoices } from "./voice-cards.js";

/** @typedef {import("./takes.js").StoredTake} StoredTake its id is missing where the browser stores nothing */

const FULL = 2; // seconds to the longest sample: not worth another take

const byId = (id) => document.getElementById(id);
const form = byId("clone-form");
const nameField = form.elements.namedItem("name");
const fileField = form.elements.namedItem("audio");
const rules = {
  minimum: Number(form.dataset.minSeconds),
  recommended: Number(form.dataset.recommendedMinSeconds),
  maximum: Number(form.dataset.maxSeconds),
};

/** @type {StoredTake[]} */
let takes = [];
/** @type {TakeStore | null} */
let store = null;
/** @type {Recorder | null} */
let recorder = null;
let asking = false; // for the microphone
let cloning = false;

const total = () => takes.reduce((sum, take) => sum + take.seconds, 0);
/** A file whose length the browser can not tell counts as 0 seconds; then the server alone can judge. */
const allKnown = () => takes.every((take) => take.seconds > 0);

// Recording

function showRecording() {
  const state = recorder ? "stop" : "start";
  byId("record").querySelector(".label").textContent = text(state);
  byId("record").classList.toggle("recording", Boolean(recorder));
  byId("pause").hidden = !recorder;
  byId("pause").textContent = text(recorder?.paused ? "resume" : "pause");
  byId("device").disabled = Boolean(recorder);
  byId("recording").classList.toggle("live", Boolean(recorder));
  if (recorder) announce(text(recorder.paused ? "paused" : "recording"));
}

/** @param {import("./recorder.js").Level} level */
function showLevel({ rms, verdict, seconds }) {
  byId("level-word").textContent = text(`level-${verdict}`);
  byId("gauge").dataset.verdict = verdict;
  byId("level").style.setProperty("--level", loudness(rms));
  showLength(total() + seconds);
}

function showLength(seconds) {
  byId("clock").textContent = clock(seconds);
  byId("timeline-done").setAttribute("width", String(Math.min(seconds, rules.maximum)));
}

async function showMicrophones() {
  const devices = await microphones();
  const chosen = byId("device").value;
  byId("device").replaceChildren(...devices.map((device) => new Option(device.label, device.deviceId)));
  if (devices.some((device) => device.deviceId === chosen)) byId("device").value = chosen;
  byId("device-field").hidden = devices.length === 0;
}

async function record() {
  const maxSeconds = rules.maximum - total();
  if (maxSeconds < FULL) {
    announce(text("take-full"));
    return;
  }
  asking = true;
  announce(text("asking"));
  try {
    const deviceId = byId("device").value || undefined;
    recorder = await Recorder.start({ processing: false, deviceId, maxSeconds, onLevel: showLevel });
  } catch (error) {
    announce(text(microphoneProblem(error)), "error");
    return;
  } finally {
    asking = false;
  }
  showRecording();
  showMicrophones();
  document.querySelector(".reading").scrollIntoView(); // On narrow screens the text stands above the controls.
  const take = await recorder.finished;
  recorder = null;
  showRecording();
  await keepRecording(take);
}

/** @param {import("./recorder.js").Take} take */
async function keepRecording(take) {
  byId("level-word").textContent = text("level-off");
  if (!take.heard) {
    showLength(total());
    announce(text("take-silent"), "error");
    return;
  }
  const stored = await keep(take);
  if (!stored) announce(text("takes-not-stored"), "error");
  else if (take.interrupted) announce(text("take-interrupted"), "error");
  else if (rules.maximum - total() < FULL) announce(text("take-full"));
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

/** @param {{blob: Blob, name: string, seconds: number}} take @returns {Promise<boolean>} whether it is stored */
async function keep({ blob, name, seconds }) {
  const take = { blob, name, seconds };
  takes.push(take);
  showTakes();
  try {
    take.id = await store.add(take);
    return true;
  } catch {
    return false;
  }
}

/** @param {StoredTake} take */
async function remove(take) {
  takes = takes.filter((other) => other !== take);
  showTakes();
  if (take.id !== undefined) await store?.remove(take.id);
}

function showTakes() {
  for (const audio of byId("takes").querySelectorAll("audio")) URL.revokeObjectURL(audio.src);
  byId("takes").replaceChildren(...takes.map(takeItem));
  byId("total").textContent = totalText();
  showLength(total());
}

/** @param {StoredTake} take @param {number} index @returns {HTMLElement} */
function takeItem(take, index) {
  const item = byId("take").content.firstElementChild.cloneNode(true);
  const name = take.blob instanceof File ? take.name : text("take-recorded", { number: index + 1 });
  item.querySelector(".take-name").textContent = name;
  item.querySelector(".take-length").textContent = take.seconds ? clock(take.seconds) : text("length-unknown");
  const audio = item.querySelector("audio");
  audio.src = URL.createObjectURL(take.blob);
  audio.setAttribute("aria-label", text("take-listen", { name }));
  const button = item.querySelector(".take-remove");
  button.setAttribute("aria-label", text("take-remove", { name }));
  button.addEventListener("click", () => {
    remove(take);
    announce(text("take-removed"));
    byId("record").focus();
  });
  return item;
}

function totalText() {
  if (!takes.length) return text("total-none");
  const values = {
    total: clock(total()),
    minimum: clock(rules.minimum),
    recommended: clock(rules.recommended),
    maximum: clock(rules.maximum),
  };
  if (total() < rules.minimum) return text("total-short", values);
  if (total() < rules.recommended) return text("total-more", values);
  return text(total() > rules.maximum ? "total-long" : "total-good", values);
}

/** @param {Iterable<File>} files */
async function addFiles(files) {
  for (const file of files) await keep({ blob: file, name: file.name, seconds: await secondsOf(file) });
}

/** @param {File} file @returns {Promise<number>} 0 where this browser can not tell */
function secondsOf(file) {
  const audio = new Audio(URL.createObjectURL(file));
  return new Promise((resolve) => {
    audio.addEventListener("loadedmetadata", () => resolve(Number.isFinite(audio.duration) ? audio.duration : 0));
    audio.addEventListener("error", () => resolve(0));
  }).finally(() => URL.revokeObjectURL(audio.src));
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

async function restoreTakes() {
  try {
    store = await TakeStore.open(form.dataset.owner);
    takes = [...(await store.all()), ...takes];
  } catch {
    return; // The page works without; keep() says so when there is something to lose.
  }
  if (!takes.length) return;
  showTakes();
  announce(text("takes-restored"));
}

// Cloning

/** @returns {{field: HTMLElement, message: string} | null} what is missing */
function problem() {
  if (!nameField.value.trim()) return { field: nameField, message: text("need-name") };
  if (!takes.length) return { field: byId("record"), message: text("need-take") };
  if (!allKnown()) return null;
  const values = { total: clock(total()), minimum: clock(rules.minimum), maximum: clock(rules.maximum) };
  if (total() < rules.minimum) return { field: byId("record"), message: text("need-seconds", values) };
  if (total() > rules.maximum) return { field: byId("record"), message: text("need-less", values) };
  return null;
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
  setCloning(true);
  try {
    const voice = await upload("/api/v1/voices", sample(), showUpload);
    await welcome(voice);
  } catch (error) {
    showFieldError(nameField, error.fields?.name?.join(" ") ?? "");
    announce(text("clone-failed", { message: error.message }), "error");
    await refreshVoices();
  } finally {
    setCloning(false);
  }
}

function sample() {
  const body = new FormData();
  body.append("name", nameField.value.trim());
  for (const take of takes) body.append("audio", take.blob, take.name);
  return body;
}

function setCloning(busy) {
  cloning = busy;
  byId("clone").setAttribute("aria-disabled", String(busy));
  byId("progress").hidden = !busy;
  if (busy) byId("progress").scrollIntoView({ block: "center" });
}

/** @param {number} share of the upload, 0 to 1 */
function showUpload(share) {
  const sent = share >= 1;
  byId("progress-text").textContent = sent ? text("cloning") : text("uploading", { percent: Math.floor(share * 100) });
  if (sent) {
    byId("progress-bar").removeAttribute("value");
    announce(text("cloning"));
  } else byId("progress-bar").value = share;
}

/** @param {{id: string, name: string, status: string}} voice */
async function welcome(voice) {
  for (const take of takes) if (take.id !== undefined) await store.remove(take.id);
  takes = [];
  nameField.value = "";
  showTakes();
  await refreshVoices();
  byId(`voice-${voice.id}`)?.querySelector("h2").focus();
  announce(text(voice.status === "ready" ? "clone-ready" : "clone-pending", { name: voice.name }));
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
byId("record").addEventListener("click", pressRecord);
byId("pause").addEventListener("click", pressPause);
byId("dropzone").addEventListener("drop", drop);
byId("dropzone").addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("dropzone").classList.add("dropping");
});
byId("dropzone").addEventListener("dragleave", () => byId("dropzone").classList.remove("dropping"));
window.addEventListener("beforeunload", (event) => {
  if (recorder || cloning) event.preventDefault();
});
navigator.mediaDevices?.addEventListener("devicechange", showMicrophones);
showMicrophones();
restoreTakes();

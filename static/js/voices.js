/** The My voices page: records takes or adds files, and passes them to the form that clones a voice. */

import { clone, isCloning } from "./clone-form.js";
import { byId, find } from "./elements.js";
import { chosenMicrophone, showLevel, showLevelWord, showMicrophoneProblem, showMicrophones } from "./microphone.js";
import { announce, clock, text } from "./page.js";
import { microphoneProblem, Recorder } from "./recorder.js";
import { lengthVerdict, rules } from "./sample-length.js";
import { TakeList } from "./take-list.js";

const MIN_TAKE_SECONDS = 2; // When less is left to the longest sample, the sample is full.

const form = byId("clone-form", "form");
const fileField = find(form, "[name=audio]", "input");
const recordButton = byId("record", "button");
const pauseButton = byId("pause");
const dropzone = byId("dropzone");
const takes = new TakeList({
  onChange: showTotal,
  onChecked: announceCheck,
  onRemoved: takeRemoved,
  onRepeat: pressRecord,
});

/** @type {Recorder | null} */
let recorder = null;
let isAsking = false; // for permission
let isWarned = false; // The status line shows a warning that the result of a check must not replace.

const secondsLeft = () => rules.maximum - takes.seconds;

// Recording

function showRecording() {
  const action = takes.seconds ? "start-another" : "start";
  find(recordButton, ".label").textContent = text(recorder ? "stop" : action);
  pauseButton.hidden = !recorder;
  pauseButton.textContent = text(recorder?.paused ? "resume" : "pause");
  byId("device", "select").disabled = Boolean(recorder);
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

/** @param {number} seconds */
function showLength(seconds) {
  byId("clock").textContent = clock(seconds);
  byId("timeline-done").setAttribute("width", `${Math.min(100, (seconds / rules.maximum) * 100)}%`);
}

async function record() {
  if (secondsLeft() < MIN_TAKE_SECONDS) {
    announce(text("take-full"));
    return;
  }
  isAsking = true;
  isWarned = false;
  announce(text("asking"));
  try {
    const deviceId = chosenMicrophone();
    recorder = await Recorder.start({ processing: false, deviceId, maxSeconds: secondsLeft(), onLevel: showProgress });
  } catch (error) {
    showMicrophoneProblem(text(microphoneProblem(error)));
    return;
  } finally {
    isAsking = false;
  }
  showMicrophoneProblem();
  showRecording();
  showMicrophones();
  find(document, ".reading").scrollIntoView(); // On narrow screens the text is above the controls.
  const take = await recorder.finished;
  recorder = null;
  await addRecording(take);
  showRecording();
}

/** @param {import("./recorder.js").Take} take */
async function addRecording(take) {
  if (!take.heard) {
    showLength(takes.seconds);
    announce(text("take-silent"), "error");
    return;
  }
  const isStored = await takes.add(take);
  takes.reveal();
  const isFull = secondsLeft() < MIN_TAKE_SECONDS;
  isWarned = !isStored || Boolean(take.interrupted) || isFull;
  if (!isStored) announce(text("takes-not-stored"), "error");
  else if (take.interrupted) announce(text(`take-interrupted-${take.interrupted}`), "error");
  else if (isFull) announce(text("take-full"));
  else announce(text("take-kept", { duration: clock(take.seconds) }));
}

function pressRecord() {
  if (isAsking || isCloning()) return;
  if (recorder) recorder.stop();
  else record();
}

function pressPause() {
  if (recorder?.paused) recorder.resume();
  else recorder?.pause();
  showRecording();
}

// Files

/** @param {File[]} files */
async function addFiles(files) {
  isWarned = false;
  for (const file of files) if (!(await takes.add({ blob: file, name: file.name, seconds: 0 }))) isWarned = true;
  if (isWarned) announce(text("takes-not-stored"), "error");
  else if (files.length) announce(text("files-added"));
}

function chooseFiles() {
  const files = [...(fileField.files ?? [])];
  fileField.value = "";
  addFiles(files);
}

/** @param {DragEvent} event */
function dropFiles(event) {
  event.preventDefault();
  dropzone.classList.remove("dropping");
  addFiles([...(event.dataTransfer?.files ?? [])]);
}

// Takes

function showTotal() {
  const total = byId("total");
  const { message, verdict } = lengthVerdict(takes);
  total.textContent = message;
  total.dataset.verdict = verdict;
  if (!takes.takes.length) byId("draft").hidden = true;
  if (recorder) return;
  showLength(takes.seconds);
  showRecording();
}

/** @param {string} name @param {string} verdict */
function announceCheck(name, verdict) {
  if (!recorder && !isCloning() && !isWarned) announce(text("take-checked", { name, verdict }));
}

function takeRemoved() {
  announce(text("take-removed"));
  recordButton.focus();
}

async function restoreTakes() {
  const count = await takes.restore(String(form.dataset.owner));
  if (!count) return;
  byId("draft").hidden = false;
  announce(text("takes-restored"));
}

async function discardTakes() {
  await takes.clear();
  takeRemoved();
}

form.noValidate = true; // The takes are not in the file field, and clone() reports missing ones.
fileField.required = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isCloning() && !recorder) clone(takes);
});
fileField.addEventListener("change", chooseFiles);
recordButton.addEventListener("click", pressRecord);
recordButton.disabled = false;
pauseButton.addEventListener("click", pressPause);
byId("draft-discard").addEventListener("click", discardTakes);
dropzone.addEventListener("drop", dropFiles);
dropzone.addEventListener("dragover", (event) => {
  event.preventDefault();
  dropzone.classList.add("dropping");
});
dropzone.addEventListener("dragleave", () => dropzone.classList.remove("dropping"));
window.addEventListener("beforeunload", (event) => {
  if (recorder || isCloning()) event.preventDefault();
});
await restoreTakes();
if (fileField.files?.length) chooseFiles(); // They were chosen before this script was loaded.

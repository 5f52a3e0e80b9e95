/** The guide on the My voices page: records takes or adds files, judges them, and has a voice made of them. */

import { Booth } from "./booth.js";
import { clone, isCloning, loadHello } from "./clone-form.js";
import { byId, find } from "./elements.js";
import { currentStep, report, showStep } from "./guide.js";
import { clock, text } from "./page.js";
import { rules } from "./sample-length.js";
import { TakeList } from "./take-list.js";
import { showVerdict } from "./verdict.js";

const MIN_TAKE_SECONDS = 2; // When less is left to the longest sample, the sample is full.

const form = byId("clone-form", "form");
const fileField = find(form, "[name=audio]", "input");
const dropzone = byId("dropzone");
const takes = new TakeList({ onChange: showTakes, onRemoved: takeRemoved, onRepeat: recordMore });
const booth = new Booth({
  maxSeconds: secondsLeft,
  needed,
  mayStart,
  onSeconds: showLength,
  onTake: addRecording,
});

let areAllStored = true; // Takes that are not stored are lost with the page.

function secondsLeft() {
  return rules.maximum - takes.seconds;
}

// Recording

/** @returns {boolean} */
function mayStart() {
  if (isCloning()) return false;
  const isFull = !booth.isRecording && secondsLeft() < MIN_TAKE_SECONDS;
  if (isFull) report(text("take-full"), "note");
  return !isFull;
}

/**
 * @param {number} seconds of the take so far
 * @returns {string} what is still needed
 */
function needed(seconds) {
  const total = takes.seconds + seconds;
  if (total < rules.minimum) return text("needed-more", { seconds: Math.ceil(rules.minimum - total) });
  if (total < rules.recommended) return text("needed-better", { seconds: Math.ceil(rules.recommended - total) });
  return text("needed-nothing");
}

/** @param {number} seconds of the take so far */
function showLength(seconds) {
  const share = (takes.seconds + seconds) / rules.recommended;
  byId("timeline-done").setAttribute("width", `${Math.min(100, share * 100)}%`);
  byId("clock").textContent = clock(takes.seconds + seconds);
}

/** @param {import("./recorder.js").Take} take */
async function addRecording(take) {
  const isStored = await takes.add(take);
  areAllStored &&= isStored;
  goTo("check");
  if (!isStored) report(text("takes-not-stored"), "error");
  else if (take.interrupted) report(text(`take-interrupted-${take.interrupted}`), "error");
  else if (secondsLeft() < MIN_TAKE_SECONDS) report(text("take-full"), "note");
  else report(text("take-kept", { duration: clock(take.seconds) }));
}

function recordMore() {
  goTo("read", booth.button);
  booth.press();
}

// Files

/** @param {File[]} files */
async function addFiles(files) {
  if (!files.length || booth.isRecording || isCloning()) return;
  for (const file of files) {
    const isStored = await takes.add({ blob: file, name: file.name, seconds: 0 });
    areAllStored &&= isStored;
  }
  goTo("check");
  if (areAllStored) report(text("files-added"));
  else report(text("takes-not-stored"), "error");
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

function showTakes() {
  showVerdict(takes);
  if (!takes.takes.length) byId("draft").hidden = true;
  if (!booth.isRecording) showLength(0);
}

function takeRemoved() {
  if (takes.takes.length) byId("takes").focus();
  else goTo("read", booth.button);
  report(text("take-removed"));
}

async function discardTakes() {
  await takes.clear();
  takeRemoved();
}

// Steps: "Back" leads from the check to the text, and a reload stays where it was.

/**
 * @param {"read" | "check"} step
 * @param {HTMLElement} [focused]
 */
function goTo(step, focused) {
  const hash = step === "check" ? "#check" : "#new-voice";
  if (window.location.hash !== hash) history.pushState(null, "", hash);
  openGuide();
  showStep(step, focused);
  if (step !== "check") return;
  byId("draft").hidden = true;
  loadHello().catch(() => {}); // A lost connection is reported when the voice is made.
}

function openGuide() {
  /** @type {HTMLDetailsElement | null} */
  const fold = document.querySelector("#another");
  if (fold) fold.open = true;
}

function followAddress() {
  const { hash } = window.location;
  if (booth.isRecording || isCloning() || currentStep() === "meet") return;
  if (hash === "#check" && takes.takes.length) goTo("check");
  else if (hash === "#new-voice") goTo("read");
  else if (currentStep() === "check") showStep("read");
  byId("draft").hidden = currentStep() === "check" || !takes.takes.length;
}

async function restoreTakes() {
  const count = await takes.restore(String(form.dataset.owner));
  if (window.location.hash === "#check" && count) {
    goTo("check");
    return;
  }
  if (window.location.hash === "#new-voice") openGuide();
  if (!count) return;
  byId("draft").hidden = false;
  report(text("takes-restored")); // The notice shows the same.
}

form.noValidate = true; // The takes are not in the file field, and clone() reports missing ones.
fileField.required = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isCloning() && !booth.isRecording) clone(takes);
});
fileField.addEventListener("change", chooseFiles);
byId("record-more").addEventListener("click", recordMore);
byId("other-text").addEventListener("click", () => booth.prompter.skip());
byId("use-file").addEventListener("click", ({ currentTarget }) => {
  const isOpen = byId("files").classList.toggle("open");
  /** @type {HTMLElement} */ (currentTarget).ariaExpanded = String(isOpen);
  if (isOpen) fileField.focus();
});
document.querySelector("#another")?.addEventListener("toggle", ({ target }) => {
  const isClosed = !(/** @type {HTMLDetailsElement} */ (target).open);
  if (isClosed && currentStep() === "meet") showStep("read", find(document, "#another summary")); // For the next voice.
});
byId("draft-discard").addEventListener("click", discardTakes);
dropzone.addEventListener("drop", dropFiles);
dropzone.addEventListener("dragover", (event) => {
  event.preventDefault();
  dropzone.classList.add("dropping");
});
dropzone.addEventListener("dragleave", () => dropzone.classList.remove("dropping"));
window.addEventListener("popstate", followAddress);
window.addEventListener("beforeunload", (event) => {
  const isUnsent = takes.takes.length > 0 && !areAllStored;
  if (booth.isRecording || isCloning() || isUnsent) event.preventDefault();
});
await restoreTakes();
if (fileField.files?.length) chooseFiles(); // They were chosen before this script was loaded.

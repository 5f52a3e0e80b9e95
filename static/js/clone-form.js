/** Cloning a voice: checks the form, uploads the takes, shows the stages, reports the result. */

import { connectionLost, upload } from "./api.js";
import { around, byId, create, find } from "./elements.js";
import { report, showStep } from "./guide.js";
import { announce, text } from "./page.js";
import { lengthVerdict } from "./sample-length.js";
import { focusVoice, refreshVoices, voiceIds } from "./voice-cards.js";

/**
 * @typedef {import("./api.js").ApiError} ApiError
 * @typedef {import("./take-list.js").TakeList} TakeList
 */

const POLL_MILLISECONDS = 1000;

const progressBar = byId("progress-bar", "progress");
const nameField = find(byId("clone-form"), "[name=name]", "input");
const nameKey = `voice-name-${byId("clone-form").dataset.owner}`; // The name survives a closed tab, as the takes do.

let cloning = false;

export const isCloning = () => cloning;

/** The script for the first meeting. Load it before the click that makes the voice, which has to unlock the sound. */
export async function loadHello() {
  try {
    return await import("./hello.js");
  } catch {
    throw connectionLost();
  }
}

/**
 * Make a voice of the takes, or report the form's first problem.
 * @param {TakeList} takes
 */
export async function clone(takes) {
  const problem = findProblem(takes);
  showNameError(problem?.field === nameField ? problem.message : "");
  if (problem) {
    report(problem.message, "error");
    problem.field.focus();
    return;
  }
  const idsBefore = voiceIds();
  const [{ blob }] = takes.takes;
  setCloning(true);
  try {
    const { meet, unlockHello } = await loadHello();
    unlockHello();
    const voice = await upload("/api/v1/voices", bodyOf(takes), showUpload);
    await clearDraft(takes);
    await refreshVoices();
    setCloning(false);
    history.replaceState(null, "", window.location.pathname); // After a reload there is nothing left to check.
    await meet(voice, blob);
  } catch (error) {
    await explain(/** @type {ApiError} */ (error), takes, idsBefore);
  } finally {
    setCloning(false);
  }
}

/**
 * @param {TakeList} takes
 * @returns {{field: HTMLElement, message: string} | null}
 */
function findProblem(takes) {
  if (!nameField.value.trim()) return { field: nameField, message: text("need-name") };
  if (!takes.takes.length) return { field: byId("record-more"), message: text("need-take") };
  const refusal = takes.takes.find((take) => take.refusal)?.refusal;
  if (refusal) return { field: byId("takes"), message: text("need-usable", { message: refusal }) };
  // A file of unknown length counts as 0 seconds; then only the server can judge.
  const isLengthKnown = takes.takes.every((take) => take.seconds > 0);
  const { message, verdict } = lengthVerdict(takes);
  return isLengthKnown && verdict === "refused" ? { field: byId("record-more"), message } : null;
}

/** @param {TakeList} takes */
function bodyOf({ takes }) {
  const body = new FormData();
  body.append("name", nameField.value.trim());
  for (const take of takes) body.append("audio", take.blob, take.name);
  return body;
}

/** @param {TakeList} takes */
async function clearDraft(takes) {
  await takes.clear();
  nameField.value = nameField.defaultValue;
  localStorage.removeItem(nameKey);
}

/**
 * Report an error. If there is a new voice all the same, the server has the takes, and the voice shows the problem.
 * @param {ApiError} error
 * @param {TakeList} takes
 * @param {string[]} idsBefore
 */
async function explain({ fields, message, retryable }, takes, idsBefore) {
  showNameError(fields?.name?.join(" ") ?? "");
  await refreshVoices();
  const newId = voiceIds().find((id) => !idsBefore.includes(id));
  if (newId && retryable) {
    await clearDraft(takes);
    showStep("read");
    /** @type {HTMLDetailsElement | null} */
    const fold = document.querySelector("#another");
    if (fold) fold.open = false; // So that the voice is what the person sees.
    focusVoice(newId);
    announce(text("clone-kept", { message }));
    return;
  }
  showStep("check");
  report(text("clone-failed", { message }), "error");
}

/** @param {string} message "" removes the error */
function showNameError(message) {
  const id = `${nameField.id}_error`;
  document.getElementById(id)?.remove();
  nameField.toggleAttribute("aria-invalid", false);
  around(nameField, ".field").classList.toggle("field-invalid", Boolean(message));
  if (!message) return;
  const list = create("ul", { id, className: "errorlist" });
  list.append(create("li", { textContent: message }));
  nameField.before(list);
  nameField.setAttribute("aria-invalid", "true");
  nameField.setAttribute("aria-describedby", id);
}

// Progress

/** @param {boolean} isBusy */
function setCloning(isBusy) {
  cloning = isBusy;
  byId("clone").setAttribute("aria-disabled", String(isBusy));
  if (!isBusy) return;
  byId("draft").hidden = true;
  document.querySelector(".messages")?.remove(); // They are about an earlier action.
  showStep("make");
  showStage("sending");
}

/** @param {number} share of the upload, 0 to 1 */
function showUpload(share) {
  byId("progress-text").textContent = text("uploading", { percent: Math.floor(share * 100) });
  progressBar.value = share;
  if (share >= 1) watchStages(voiceIds());
}

/**
 * Poll for the next stage: the server responds only at the end, but lists the voice when it has accepted the takes.
 * @param {string[]} idsBefore
 */
async function watchStages(idsBefore) {
  showStage("checking");
  while (cloning) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
    if (cloning) await refreshVoices();
    if (cloning && voiceIds().some((id) => !idsBefore.includes(id))) {
      showStage("making");
      return;
    }
  }
}

/** @param {"sending" | "checking" | "making"} stage */
function showStage(stage) {
  const stages = [...byId("stages").children];
  const current = stages.findIndex((item) => item.matches(`[data-stage=${stage}]`));
  for (const [index, item] of stages.entries()) {
    item.toggleAttribute("data-done", index < current);
    item.removeAttribute("aria-current");
  }
  stages[current].setAttribute("aria-current", "step");
  report(text(stage));
  byId("progress-text").textContent = text(stage);
  if (stage !== "sending") progressBar.removeAttribute("value");
}

nameField.value = localStorage.getItem(nameKey) || nameField.value;
nameField.addEventListener("input", () => localStorage.setItem(nameKey, nameField.value));

/** The consent page: records the statement, sends it, and shows which words were not heard. */

import { ApiError, request, upload } from "./api.js";
import { Booth } from "./booth.js";
import { byId, create, find } from "./elements.js";
import { currentStep, report, showStep } from "./guide.js";
import { signInLink, text } from "./page.js";
import { TakeStore } from "./takes.js";

/**
 * @typedef {import("./takes.js").Take} Take
 * @typedef {{id: string, statement: string, code_words: string[], expires_at: string}} Challenge
 * @typedef {{same: boolean, statement: string, heard: string}} Passage
 */

const form = byId("consent-form", "form");
const fileField = find(form, "[name=audio]", "input");
const challengeField = find(form, "[name=challenge]", "input");
const nameField = find(form, "[name=name]", "input");
const audio = byId("take", "audio");
const progressBar = byId("progress-bar", "progress");

/** @type {TakeStore | null} */
let store = null;
/** @type {Take | null} */
let recording = null;
let isSending = false;
/** @type {number | undefined} */
let expiryTimer;

const booth = new Booth({
  maxSeconds: () => Number(form.dataset.maxSeconds),
  needed: () => text("needed-statement"),
  mayStart: () => !isSending,
  onTake: takeRecorded,
});

/** @param {Take | null} newRecording */
function setRecording(newRecording) {
  recording = newRecording;
  URL.revokeObjectURL(audio.src);
  audio.hidden = !recording;
  if (recording) audio.src = URL.createObjectURL(recording.blob);
  else audio.removeAttribute("src");
}

/**
 * Offer a recording for sending, and store it as long as its statement is valid.
 * @param {{blob: Blob, name: string, seconds: number}} newRecording
 */
async function offer({ blob, name, seconds }) {
  const until = Date.parse(String(form.dataset.expires));
  const take = { blob, name, seconds, challenge: challengeField.value, until };
  const earlier = recording;
  setRecording(take);
  showStep("send");
  try {
    if (earlier) await store?.remove(earlier);
    await store?.save(take);
  } catch {
    // The page has it all the same.
  }
}

/** The recording is of no use any more. */
async function forget() {
  const forgotten = recording;
  setRecording(null);
  if (forgotten) await store?.remove(forgotten).catch(() => {}); // It expires there.
}

/** Show the recording that an earlier visit has left, if the page still has its statement. */
async function restore() {
  try {
    store = await TakeStore.open(String(form.dataset.owner), "consent");
    const takes = await store.all();
    const take = takes.findLast(({ challenge }) => challenge === challengeField.value);
    for (const each of takes) if (each !== take) await store.remove(each);
    if (!take || recording || booth.isRecording) return;
    setRecording(take);
    showStep("send");
    report(text("take-restored"), "note");
  } catch {
    store = null; // The page works without a store.
  }
}

/** @param {import("./recorder.js").Take} take */
function takeRecorded(take) {
  fileField.value = "";
  offer(take);
  report(text("take-kept"));
}

function recordAgain() {
  if (isSending) return;
  showStep("read", booth.button);
  booth.prompter.prepare();
  booth.press();
}

function chooseFile() {
  const file = fileField.files?.[0];
  if (!file || booth.isRecording) return;
  offer({ blob: file, name: file.name, seconds: 0 });
  report(text("file-chosen"));
}

/** @param {SubmitEvent} event */
async function send(event) {
  event.preventDefault();
  if (isSending || !recording) return;
  setSending(true);
  const body = new FormData();
  body.append("challenge", challengeField.value);
  body.append("audio", recording.blob, recording.name);
  try {
    await upload("/api/v1/consents", body, showUpload);
    await forget();
    report(text("given"));
    window.location.assign(String(form.dataset.next));
  } catch (error) {
    setSending(false);
    await explain(error);
  }
}

/**
 * Report an error. If the server has judged the recording, its statement is used up, and there is a new one to read.
 * @param {unknown} error
 */
async function explain(error) {
  if (!(error instanceof ApiError)) throw error;
  if (error.retryable) {
    report(error.message, "error");
    if (error.code === "not_authenticated") byId("guide-status").append(" ", signInLink());
    return;
  }
  byId("heard-message").textContent = error.message;
  compare(/** @type {Passage[] | undefined} */ (error.details.words));
  showStep("heard");
  await renewStatement();
}

/** @param {Passage[]} [passages] missing if nothing was heard */
function compare(passages) {
  byId("comparison").hidden = !passages;
  find(byId("heard-title"), "span:last-child").textContent = text(passages ? "heard-different" : "heard-nothing");
  for (const [id, side] of /** @type {const} */ ([["expected", "statement"], ["heard", "heard"]])) {
    byId(id).replaceChildren(...(passages ?? []).flatMap((passage) => shown(passage[side], passage.same)));
  }
}

/**
 * @param {string} words
 * @param {boolean} isSame
 * @returns {(string | HTMLElement)[]}
 */
function shown(words, isSame) {
  if (!words) return [];
  if (isSame) return [`${words} `];
  const mark = create("mark", {});
  mark.append(create("span", { className: "visually-hidden", textContent: `${text("differs")} ` }), words);
  return [mark, " "];
}

/** @param {boolean} isBusy */
function setSending(isBusy) {
  isSending = isBusy;
  byId("send").setAttribute("aria-disabled", String(isBusy));
  byId("again").hidden = isBusy;
  byId("progress").hidden = !isBusy;
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
  report(message);
}

/** Replace the statement with a new one. */
async function renewStatement() {
  await forget();
  try {
    const response = await request("POST", "/api/v1/consents/challenges", { body: { name: nameField.value } });
    showChallenge(await response.json());
  } catch (error) {
    report(/** @type {Error} */ (error).message, "error");
  }
}

/** @param {Challenge} challenge */
function showChallenge(challenge) {
  challengeField.value = challenge.id;
  byId("statement").textContent = challenge.statement;
  booth.prompter.prepare();
  byId("code-words").replaceChildren(...challenge.code_words.map((word) => create("li", { textContent: word })));
  form.dataset.expires = challenge.expires_at;
  watchExpiry();
}

function watchExpiry() {
  clearTimeout(expiryTimer);
  expiryTimer = setTimeout(replaceExpired, Date.parse(String(form.dataset.expires)) - Date.now());
}

/** Replace an expired statement. During recording and sending the server's answer reports that it has expired. */
async function replaceExpired() {
  if (isSending || booth.isRecording) return;
  await renewStatement();
  if (currentStep() === "send") showStep("read");
  report(text("expired"), "note");
}

form.noValidate = true; // The recording is not in the file field.
fileField.required = false;
form.addEventListener("submit", send);
fileField.addEventListener("change", chooseFile);
byId("again").addEventListener("click", recordAgain);
byId("new-statement").addEventListener("click", () => showStep("read", booth.button));
window.addEventListener("beforeunload", (event) => {
  if (booth.isRecording || recording) event.preventDefault(); // What is kept is of use for minutes only.
});
watchExpiry();
await restore();
chooseFile(); // A file may have been chosen before this script was loaded.

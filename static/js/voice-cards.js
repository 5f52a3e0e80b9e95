/** The voices on the My voices page: keeps the list up to date, changes a voice in place, plays its preview. */

import { request } from "./api.js";
import { around, atTarget, byId, find, findAll } from "./elements.js";
import { announce, announceError, text } from "./page.js";

const PENDING_MILLISECONDS = 5000;

const list = byId("voices");
/** @type {number | undefined} */
let pendingTimer;

/**
 * @param {Element} element anything in a card
 * @returns {{url: string, name: string, id: string}} the card's voice
 */
function voiceOf(element) {
  const card = around(element, ".voice");
  const id = String(card.dataset.voice);
  return { id, url: `/api/v1/voices/${id}`, name: find(card, "h2").textContent };
}

/** @returns {string[]} the ids of the voices on the page */
export const voiceIds = () => findAll(list, ".voice").map((card) => String(card.dataset.voice));

/**
 * Move the focus to a voice.
 * @param {string} id
 * @param {string} [selector] in its card
 */
export function focusVoice(id, selector = "h2") {
  /** @type {HTMLElement | null | undefined} */
  const target = document.getElementById(`voice-${id}`)?.querySelector(selector);
  target?.focus();
}

/** @returns {Promise<HTMLElement | null>} the list as the server has it now; null if it cannot be loaded */
async function fetchList() {
  try {
    const response = await fetch(window.location.pathname + window.location.search);
    return new DOMParser().parseFromString(await response.text(), "text/html").getElementById("voices");
  } catch {
    return null;
  }
}

/** Show the voices as the server has them now. Cards that did not change stay, so that nobody is disturbed in them. */
export async function refreshVoices() {
  const current = await fetchList();
  if (current) replaceCards(current);
  watchPending();
}

/** Refresh the list while a voice is being made, perhaps in another tab. */
function watchPending() {
  clearTimeout(pendingTimer);
  if (list.querySelector("[data-status=pending]")) pendingTimer = setTimeout(refreshVoices, PENDING_MILLISECONDS);
}

/** @param {HTMLElement} current the list as the server has it */
function replaceCards(current) {
  const [shownCards, currentCards] = [list, current].map((section) => section.querySelector(".cards"));
  if (!shownCards || !currentCards) {
    list.replaceChildren(...current.childNodes);
    return;
  }
  const cards = new Map(findAll(currentCards, ".voice").map((card) => [card.dataset.voice, card]));
  for (const old of findAll(shownCards, ".voice")) {
    const card = cards.get(old.dataset.voice);
    cards.delete(old.dataset.voice);
    if (card?.dataset.version === old.dataset.version) continue;
    if (card) copyState(old, card);
    old.replaceWith(card ?? "");
  }
  shownCards.prepend(...cards.values()); // New voices come first.
}

/**
 * Copy open folds and typed text, so that a changed card does not lose them.
 * @param {HTMLElement} old
 * @param {HTMLElement} card
 */
function copyState(old, card) {
  /** @type {NodeListOf<HTMLDetailsElement>} */
  const oldFolds = old.querySelectorAll(".fold");
  /** @type {NodeListOf<HTMLDetailsElement>} */
  const folds = card.querySelectorAll(".fold");
  for (const [index, fold] of oldFolds.entries()) if (folds[index]) folds[index].open = fold.open;
  /** @type {(HTMLInputElement | null)[]} */
  const [oldField, field] = [old, card].map((each) => each.querySelector(".preview input"));
  if (oldField && field) field.value = oldField.value;
}

/**
 * Make a voice say the text in its preview field.
 * @param {Element} element anything in its card
 * @param {object} [settings] to try; null is the engine's own value
 * @returns {Promise<Blob>}
 */
export async function preview(element, settings = {}) {
  const field = find(around(element, ".voice"), ".preview input", "input");
  const body = { text: field.value, settings };
  const response = await request("POST", `${voiceOf(element).url}/preview`, { body, accept: "audio/mpeg" });
  return response.blob();
}

/**
 * @param {HTMLAudioElement} audio
 * @param {Blob} blob
 */
export function load(audio, blob) {
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
}

/**
 * @param {HTMLAudioElement} audio
 * @param {string} message names the sound
 */
export async function play(audio, message) {
  try {
    await audio.play();
    announce(message);
  } catch {
    announce(text("preview-press-play")); // The click was too long ago for this browser to allow playback.
  }
}

/** @param {HTMLFormElement} form */
async function playPreview(form) {
  announce(text("preview-loading"));
  const audio = find(form, "audio");
  load(audio, await preview(form));
  audio.hidden = false;
  await play(audio, text("preview-playing"));
}

/**
 * Change a voice and show the changed card.
 * @param {HTMLFormElement} form in its card
 * @param {object} body of the PATCH request
 * @param {string} message the key of the text that reports the change
 * @param {string} [selector] the element in the card that gets the focus
 */
export async function change(form, body, message, selector) {
  const { id, url } = voiceOf(form);
  const voice = await (await request("PATCH", url, { body })).json();
  await refreshVoices();
  focusVoice(id, selector);
  announce(text(message, { name: voice.name }));
}

/** @param {HTMLFormElement} form */
function rename(form) {
  return change(form, { name: find(form, "[name=name]", "input").value }, "voice-renamed");
}

/** @param {HTMLFormElement} form */
function makeDefault(form) {
  return change(form, { is_default: true }, "voice-default");
}

/** @param {HTMLFormElement} form */
async function retry(form) {
  const { id, name, url } = voiceOf(form);
  announce(text("making"));
  try {
    await request("POST", `${url}/retry`);
    announce(text("clone-ready", { name }));
  } finally {
    await refreshVoices();
    focusVoice(id);
  }
}

/** @typedef {(form: HTMLFormElement) => Promise<void>} Action */

/** @type {Record<string, Action>} by the class of the form */
const ACTIONS = { preview: playPreview, rename, "make-default": makeDefault, retry };

/**
 * Run the action of a form, unless it is running already, and report its error.
 * @param {HTMLFormElement} form
 * @param {Action} action
 */
export async function run(form, action) {
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  try {
    await action(form);
  } catch (error) {
    announceError(error);
  } finally {
    form.ariaBusy = "false";
  }
}

list.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const name = Object.keys(ACTIONS).find((each) => form.classList.contains(each));
  if (!name) return;
  event.preventDefault();
  run(form, ACTIONS[name]);
});
list.addEventListener("keydown", (event) => {
  const renaming = /** @type {HTMLDetailsElement | null} */ (atTarget(event, ".inline[open]"));
  if (event.key !== "Escape" || !renaming) return;
  renaming.open = false;
  find(renaming, "form").reset();
  find(renaming, "summary").focus();
});
watchPending();

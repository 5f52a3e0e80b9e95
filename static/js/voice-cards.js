/** The voices on the My voices page: keeping the list true, changing a voice in place, and hearing one. */

import { request } from "./api.js";
import { announce, text } from "./page.js";

const PENDING_INTERVAL = 5000; // milliseconds

const list = document.getElementById("voices");
let pendingTimer;

/** @param {Element} element anything in a card @returns {{url: string, name: string, id: string}} the card's voice */
export function voiceOf(element) {
  const card = element.closest(".voice");
  const id = card.dataset.voice;
  return { id, url: `/api/v1/voices/${id}`, name: card.querySelector("h2").textContent };
}

/** @returns {string[]} the ids of the voices on show */
export const voiceIds = () => [...list.querySelectorAll(".voice")].map((card) => card.dataset.voice);

/** Take the person to a voice. @param {string} id @param {string} [place] a selector in its card */
export function showVoice(id, place = "h2") {
  document.getElementById(`voice-${id}`)?.querySelector(place)?.focus();
}

/** @returns {Promise<Element | null>} the list as the server has it now; null where it can not be had */
async function currentVoices() {
  try {
    const response = await fetch(window.location.pathname);
    return new DOMParser().parseFromString(await response.text(), "text/html").getElementById("voices");
  } catch {
    return null;
  }
}

/** Show the voices as the server has them now. Cards that did not change stay, so that nobody is disturbed in them. */
export async function refreshVoices() {
  const current = await currentVoices();
  if (current) exchange(current);
  watchPending();
}

/** A voice that is being made, perhaps in another tab, shows up without a reload. */
function watchPending() {
  clearTimeout(pendingTimer);
  if (list.querySelector("[data-status=pending]")) pendingTimer = setTimeout(refreshVoices, PENDING_INTERVAL);
}

function exchange(current) {
  const [shown, now] = [list, current].map((section) => section.querySelector(".cards"));
  if (!shown || !now) {
    list.replaceChildren(...current.childNodes);
    return;
  }
  const cards = new Map([...now.children].map((card) => [card.dataset.voice, card]));
  for (const old of [...shown.children]) {
    const card = cards.get(old.dataset.voice);
    cards.delete(old.dataset.voice);
    if (card?.dataset.version === old.dataset.version) continue;
    if (card) carryOver(old, card);
    old.replaceWith(card ?? "");
  }
  shown.prepend(...cards.values()); // The newest come first.
}

/** What is open stays open, and what was typed stays there. */
function carryOver(old, card) {
  const folds = card.querySelectorAll(".fold");
  for (const [index, fold] of old.querySelectorAll(".fold").entries()) if (folds[index]) folds[index].open = fold.open;
  const [typed, field] = [old, card].map((each) => each.querySelector(".preview input"));
  if (typed && field) field.value = typed.value;
}

/**
 * Hear a voice say the text in its preview field.
 * @param {Element} element anything in its card
 * @param {object} [settings] to try out; null is the engine's own value
 * @returns {Promise<Blob>}
 */
export async function preview(element, settings = {}) {
  const body = { text: element.closest(".voice").querySelector(".preview input").value, settings };
  const response = await request("POST", `${voiceOf(element).url}/preview`, { body, accept: "audio/mpeg" });
  return response.blob();
}

/** @param {HTMLAudioElement} audio @param {Blob} blob */
export function load(audio, blob) {
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
}

/** @param {HTMLAudioElement} audio @param {string} message what is heard */
export async function play(audio, message) {
  try {
    await audio.play();
    announce(message);
  } catch {
    announce(text("preview-press-play")); // The click was too long ago for this browser to let the page play by itself.
  }
}

async function hear(form) {
  announce(text("preview-loading"));
  const audio = form.querySelector("audio");
  load(audio, await preview(form));
  audio.hidden = false;
  await play(audio, text("preview-playing"));
}

/**
 * Change a voice and show it changed.
 * @param {HTMLFormElement} form in its card
 * @param {object} body what PATCH takes
 * @param {string} message the key of the text that says what is done
 * @param {string} [place] where in the card one goes on
 */
export async function change(form, body, message, place) {
  const { id, url } = voiceOf(form);
  const voice = await (await request("PATCH", url, { body })).json();
  await refreshVoices();
  showVoice(id, place);
  announce(text(message, { name: voice.name }));
}

async function retry(form) {
  const { id, name, url } = voiceOf(form);
  announce(text("making"));
  try {
    await request("POST", `${url}/retry`);
    announce(text("clone-ready", { name }));
  } finally {
    await refreshVoices();
    showVoice(id);
  }
}

const ACTIONS = {
  preview: hear,
  rename: (form) => change(form, { name: form.elements.namedItem("name").value }, "voice-renamed"),
  "make-default": (form) => change(form, { is_default: true }, "voice-default"),
  retry,
};

/** @param {HTMLFormElement} form @param {(form: HTMLFormElement) => Promise<void>} action */
export async function run(form, action) {
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  try {
    await action(form);
  } catch (error) {
    announce(error.message, "error");
  } finally {
    form.ariaBusy = "false";
  }
}

list.addEventListener("submit", (event) => {
  const action = Object.keys(ACTIONS).find((name) => event.target.classList.contains(name));
  if (!action) return;
  event.preventDefault();
  run(event.target, ACTIONS[action]);
});
list.addEventListener("keydown", ({ key, target }) => {
  const renaming = key === "Escape" && target.closest(".inline[open]");
  if (!renaming) return;
  renaming.open = false;
  renaming.querySelector("form").reset();
  renaming.querySelector("summary").focus();
});
watchPending();

/** The voices on the My voices page: keeping the list true, and hearing one. */

import { request } from "./api.js";
import { announce, text } from "./page.js";

const PENDING_INTERVAL = 5000; // milliseconds

const list = document.getElementById("voices");

/** @returns {Promise<HTMLElement>} the list as the server has it now; the one on show where it can not be had */
async function currentVoices() {
  try {
    const response = await fetch(window.location.pathname);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return page.getElementById("voices") ?? list;
  } catch {
    return list;
  }
}

/** Show the list of voices as the server has it now. */
export async function refreshVoices() {
  list.replaceChildren(...(await currentVoices()).childNodes);
  watchPending();
}

const pendingCards = () => list.querySelectorAll("[data-status=pending]");

/** A voice that is being made, perhaps in another tab, shows up without a reload. */
function watchPending() {
  if (pendingCards().length) setTimeout(refreshPending, PENDING_INTERVAL);
}

/** Only the cards that changed are exchanged, so that nobody is disturbed in typing or listening. */
async function refreshPending() {
  const current = await currentVoices();
  for (const card of pendingCards()) {
    const now = current.querySelector(`[data-voice="${card.dataset.voice}"]`);
    if (now?.dataset.status !== "pending") card.replaceWith(now ?? "");
  }
  watchPending();
}

async function preview(event) {
  const previewForm = event.target.closest(".preview");
  if (!previewForm) return;
  event.preventDefault();
  announce(text("preview-loading"));
  const { voice } = previewForm.closest(".voice").dataset;
  const options = { body: { text: previewForm.elements.namedItem("text").value }, accept: "audio/mpeg" };
  try {
    const response = await request("POST", `/api/v1/voices/${voice}/preview`, options);
    await play(previewForm.querySelector("audio"), await response.blob());
  } catch (error) {
    announce(error.message, "error");
  }
}

/** @param {HTMLAudioElement} audio @param {Blob} blob */
async function play(audio, blob) {
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
  audio.hidden = false;
  try {
    await audio.play();
    announce(text("preview-playing"));
  } catch {
    announce(text("preview-press-play")); // The click was too long ago for this browser to let the page play by itself.
  }
}

list.addEventListener("submit", preview);
watchPending();

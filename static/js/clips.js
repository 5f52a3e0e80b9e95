/** Replay of stored questions and answers: a small button for each, in place of the browser's wide controls. */

import { refusalOf } from "./api.js";
import { around, atTarget, find, findAll } from "./elements.js";
import { announceError, clock, text } from "./page.js";

/** @param {HTMLElement} clip the .clip of templates/conversations/clip.html */
function show(clip) {
  const audio = find(clip, "audio");
  const button = find(clip, ".clip-play");
  const position = find(clip, ".clip-position", "input");
  const seconds = Number.isFinite(audio.duration) ? audio.duration : Number(clip.dataset.seconds || 0);
  const isStarted = audio.currentTime > 0 && !audio.ended;
  const label = audio.paused ? button.dataset.play : button.dataset.pause;
  button.dataset.playing = String(!audio.paused);
  button.setAttribute("aria-label", String(label));
  find(button, ".clip-time").textContent = seconds ? clock(isStarted ? audio.currentTime : Math.ceil(seconds)) : "";
  position.hidden = !isStarted;
  position.max = String(seconds);
  position.value = String(audio.currentTime);
}

/** @param {Event} event of a clip's audio element */
const showTarget = ({ target }) => show(around(/** @type {Element} */ (target), ".clip"));

/** @param {HTMLAudioElement} audio */
async function togglePlayback(audio) {
  if (!audio.paused) {
    audio.pause();
    return;
  }
  try {
    await audio.play();
  } catch (error) {
    const isPausedAgain = /** @type {Error} */ (error).name === "AbortError";
    if (!isPausedAgain) announceError((await refusalOf(audio.src)) ?? new Error(text("clip-failed")));
  }
}

/**
 * Offer a recording for replay.
 * @param {HTMLElement} clip
 * @param {string} url
 * @param {number} seconds its length
 */
export function offerClip(clip, url, seconds) {
  clip.dataset.seconds = String(seconds);
  find(clip, "audio").src = url;
  find(clip, ".download", "a").href = `${url}?as=mp3`;
  clip.hidden = false;
  show(clip);
}

/** @param {HTMLElement} list holds the clips, and those that are added later */
export function watchClips(list) {
  list.addEventListener("click", (event) => {
    const button = atTarget(event, ".clip-play");
    if (button) togglePlayback(find(around(button, ".clip"), "audio"));
  });
  list.addEventListener("input", (event) => {
    const position = /** @type {HTMLInputElement | null} */ (atTarget(event, ".clip-position"));
    if (position) find(around(position, ".clip"), "audio").currentTime = position.valueAsNumber;
  });
  for (const type of ["play", "pause", "ended", "timeupdate", "loadedmetadata"]) {
    list.addEventListener(type, showTarget, true); // These events do not bubble.
  }
  for (const clip of findAll(list, ".clip")) show(clip);
}

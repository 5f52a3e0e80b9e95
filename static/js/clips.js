/** Replaying what was said: a small button for each question and answer, in place of the browser's wide controls. */

import { announce, clock, text } from "./page.js";

/** @param {HTMLElement} clip the .clip of templates/conversations/clip.html */
function show(clip) {
  const audio = clip.querySelector("audio");
  const button = clip.querySelector(".clip-play");
  const position = clip.querySelector(".clip-position");
  const seconds = Number.isFinite(audio.duration) ? audio.duration : Number(clip.dataset.seconds || 0);
  const begun = audio.currentTime > 0 && !audio.ended;
  button.dataset.playing = String(!audio.paused);
  button.setAttribute("aria-label", audio.paused ? button.dataset.play : button.dataset.pause);
  button.querySelector(".clip-time").textContent = seconds ? clock(begun ? audio.currentTime : Math.ceil(seconds)) : "";
  position.hidden = !begun;
  position.max = seconds;
  position.value = audio.currentTime;
}

async function toggle(audio) {
  if (!audio.paused) {
    audio.pause();
    return;
  }
  try {
    await audio.play();
  } catch (error) {
    if (error.name !== "AbortError") announce(text("clip-failed"), "error");
  }
}

/**
 * Offer a recording for replay.
 * @param {HTMLElement} clip
 * @param {string} url
 * @param {number} seconds its length
 */
export function offerClip(clip, url, seconds) {
  clip.dataset.seconds = seconds;
  clip.querySelector("audio").src = url;
  clip.querySelector(".download").href = `${url}?as=mp3`;
  clip.hidden = false;
  show(clip);
}

/** @param {HTMLElement} list holds the clips, those to come as well */
export function watchClips(list) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".clip-play");
    if (button) toggle(button.closest(".clip").querySelector("audio"));
  });
  list.addEventListener("input", (event) => {
    if (!event.target.matches(".clip-position")) return;
    event.target.closest(".clip").querySelector("audio").currentTime = event.target.value;
  });
  for (const type of ["play", "pause", "ended", "timeupdate", "loadedmetadata"]) {
    list.addEventListener(type, (event) => show(event.target.closest(".clip")), true); // They do not bubble.
  }
  for (const clip of list.querySelectorAll(".clip")) show(clip);
}

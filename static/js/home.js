/** The start page: two buttons that play a recording and its clone. Without scripts, the browser's players do. */

import { byId, find, findAll } from "./elements.js";

/** @param {HTMLElement} button */
function watchSound(button) {
  const id = String(button.dataset.sound);
  const sound = byId(id, "audio");
  const track = find(document, `[data-track="${id}"]`);
  let frame = 0;

  function draw() {
    const part = sound.duration ? sound.currentTime / sound.duration : 0;
    track.toggleAttribute("data-started", !sound.paused || part > 0);
    track.style.setProperty("--played", String(part));
    frame = sound.paused ? 0 : requestAnimationFrame(draw);
  }

  function showState() {
    button.setAttribute("aria-pressed", String(!sound.paused));
    cancelAnimationFrame(frame);
    draw();
  }

  button.addEventListener("click", () => (sound.paused ? sound.play() : sound.pause()));
  sound.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== sound) other.pause();
  });
  for (const change of ["play", "pause", "ended", "seeked"]) sound.addEventListener(change, showState);
  sound.addEventListener("ended", () => {
    sound.currentTime = 0;
  });
}

for (const button of findAll(document, ".listen-play")) watchSound(button);

/**
 * The site's own player for recordings: it takes the place of the browser's controls of each `<audio controls>`, also
 * of those that are added later. Without scripts, the browser's own controls stay.
 *
 * The audio element tells what its player needs: `aria-label`; `data-seconds`, its length before it is loaded;
 * `data-play` and `data-pause`, the names of the button; `data-compact`, which hides the slider until it is started.
 */

import { refusalOf } from "./api.js";
import { byId, find, findAll } from "./elements.js";
import { announceError, clock, text } from "./page.js";

const STEP_SECONDS = 5;
const SPEEDS = [1, 1.25, 1.5, 2, 0.75];
const FAR = 1e9; // seconds, beyond the end of every recording

/** @type {WeakMap<HTMLAudioElement, HTMLElement>} */
const players = new WeakMap();

/** @param {HTMLAudioElement} audio @returns {number} its length, 0 if it is unknown */
const secondsOf = (audio) => (Number.isFinite(audio.duration) ? audio.duration : Number(audio.dataset.seconds || 0));

/** @param {HTMLAudioElement} audio */
function show(audio) {
  const player = players.get(audio);
  if (!player) return;
  const button = find(player, ".player-play");
  const position = find(player, ".player-position", "input");
  const seconds = secondsOf(audio);
  const isStarted = audio.currentTime > 0 && !audio.ended;
  const end = seconds ? clock(Math.max(1, seconds)) : "";
  const now = clock(audio.currentTime);
  player.toggleAttribute("data-started", isStarted || !audio.paused);
  button.dataset.playing = String(!audio.paused);
  const name = audio.paused ? (audio.dataset.play ?? text("play")) : (audio.dataset.pause ?? text("pause"));
  button.setAttribute("aria-label", name);
  find(player, ".player-time").textContent = isStarted ? now : end || "–:––";
  position.disabled = !seconds;
  position.max = String(seconds || 1);
  position.value = String(audio.ended ? 0 : audio.currentTime);
  position.style.setProperty("--played", String(seconds && isStarted ? audio.currentTime / seconds : 0));
  position.setAttribute("aria-valuetext", text("position-of", { now, end: end || now }));
  find(player, ".player-speed").textContent = text("speed", { speed: audio.playbackRate });
}

/** @param {HTMLAudioElement} audio move its name to the player, which people perceive in its place */
function showName(audio) {
  const name = audio.getAttribute("aria-label");
  if (name === null) return;
  players.get(audio)?.setAttribute("aria-label", name);
  audio.removeAttribute("aria-label");
}

/** @param {HTMLAudioElement} audio */
function toggle(audio) {
  if (audio.paused) audio.play().catch(() => {}); // If it cannot be played, its event tells so.
  else audio.pause();
}

/** @param {HTMLAudioElement} audio @param {KeyboardEvent} event on the slider */
function step(audio, event) {
  const forward = players.get(audio)?.matches(":dir(rtl)") ? "ArrowLeft" : "ArrowRight";
  if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
  const seconds = event.key === forward || event.key === "ArrowUp" ? STEP_SECONDS : -STEP_SECONDS;
  audio.currentTime = Math.min(secondsOf(audio), Math.max(0, audio.currentTime + seconds));
}

/** @param {HTMLAudioElement} audio */
function changeSpeed(audio) {
  audio.playbackRate = SPEEDS[(SPEEDS.indexOf(audio.playbackRate) + 1) % SPEEDS.length];
  audio.defaultPlaybackRate = audio.playbackRate; // Also for what it plays next.
}

/** @param {HTMLAudioElement} audio somebody may play it soon */
function learnLength(audio) {
  if (!secondsOf(audio)) audio.preload = "metadata";
}

/** @param {HTMLAudioElement} audio */
function enhance(audio) {
  const { content } = byId("player", "template");
  const player = find(/** @type {DocumentFragment} */ (content.cloneNode(true)), ".player");
  const position = find(player, ".player-position", "input");
  players.set(audio, player);
  audio.controls = false;
  player.toggleAttribute("data-compact", "compact" in audio.dataset);
  audio.after(player);
  find(player, ".player-play").addEventListener("click", () => toggle(audio));
  find(player, ".player-speed").addEventListener("click", () => changeSpeed(audio));
  position.addEventListener("input", (event) => {
    event.stopPropagation(); // It is no field of the form that the player may stand in.
    audio.currentTime = position.valueAsNumber;
  });
  position.addEventListener("change", (event) => event.stopPropagation());
  position.addEventListener("keydown", (event) => step(audio, event));
  for (const type of ["pointerenter", "focusin"]) player.addEventListener(type, () => learnLength(audio));
  new MutationObserver(() => showName(audio)).observe(audio, { attributeFilter: ["aria-label"] });
  new MutationObserver(() => show(audio)).observe(audio, { attributeFilter: ["data-seconds"] });
  showName(audio);
  show(audio);
}

/** @param {ParentNode} root */
function enhanceAll(root) {
  for (const audio of findAll(root, "audio[controls]:not(.no-js)")) enhance(/** @type {HTMLAudioElement} */ (audio));
}

/** @param {HTMLAudioElement} audio one that a browser recorded does not say how long it is until its end is sought */
function findLength(audio) {
  if (audio.duration !== Infinity || !audio.paused) return;
  const back = () => {
    audio.currentTime = 0;
  };
  audio.addEventListener("durationchange", back, { once: true });
  audio.currentTime = FAR;
}

/** @param {HTMLAudioElement} audio tell why a stored recording does not play */
async function explain(audio) {
  // A recording of this page, a `blob:`, is not stored.
  if (!audio.src.startsWith(location.origin) || !document.getElementById("status")) return;
  announceError((await refusalOf(audio.src)) ?? new Error(text("play-failed")));
}

/** @param {Event} event */
function heed({ type, target }) {
  if (!(target instanceof HTMLAudioElement)) return;
  if (type === "play") for (const other of document.querySelectorAll("audio")) if (other !== target) other.pause();
  if (type === "loadedmetadata") findLength(target);
  if (type === "error") explain(target);
  show(target);
}

const EVENTS = "play pause ended timeupdate seeked loadedmetadata durationchange emptied ratechange error".split(" ");
for (const type of EVENTS) document.addEventListener(type, heed, true); // These events do not bubble.
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) if (node instanceof Element) enhanceAll(node.parentElement ?? document);
  }
}).observe(document.body, { childList: true, subtree: true });
enhanceAll(document);

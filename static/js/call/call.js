/**
 * A call: hands-free talk on the whole screen. It listens and answers like the Talk page behind it, on whose state,
 * turns and fields it looks; only its face is another. Loaded when it is used.
 */

import { interrupt } from "../answering.js";
import { atTarget, byId, create } from "../elements.js";
import { startHandsFree, stop } from "../listening.js";
import { clock, loudness } from "../page.js";
import { measure } from "../recorder.js";
import { answerOutput } from "../sound.js";
import { capture, isAnswering } from "../turn-state.js";
import { toggleCaptions, watchCaptions } from "./captions.js";
import { faceOf, showFace, tryAgain, watchState } from "./faces.js";
import { LivingShape } from "./living-shape.js";
import { chooseVoice, closeVoices, showVoice, toggleVoices } from "./voices.js";

const SECOND_TAP_MILLISECONDS = 500; // A double tap on "Call" must not press what appears under the finger.
const LOST_MILLISECONDS = 500; // A connection that is back sooner is not worth a word.

const dialog = byId("call-dialog", "dialog");
const sound = new Float32Array(1024);
const shape = new LivingShape(byId("call-canvas", "canvas"), (face) => {
  if (face === "speaking") return answerLevel();
  return face === "listening" ? capture.level : 0;
});

let isMuted = false;
let isLost = false;
let openedAt = 0; // milliseconds
/** @type {(() => void)[]} */
let endings = [];
/** @type {ReturnType<typeof setTimeout> | undefined} */
let lostTimer;

/** @returns {number} the loudness of the answer, 0 to 1 */
function answerLevel() {
  answerOutput().getFloatTimeDomainData(sound);
  return loudness(measure(sound).rms);
}

/** @type {Promise<unknown> | null} */
let style = null;

/** Load the style sheet of the call. */
function loadStyle() {
  const link = create("link", { rel: "stylesheet", href: String(dialog.dataset.style) });
  style = new Promise((resolve, reject) => {
    link.onload = resolve;
    link.onerror = () => {
      style = null; // The next press tries again.
      reject(new Error("The style sheet cannot be loaded."));
    };
  });
  document.head.append(link);
  return style;
}

/** Open the call, and listen. Rejects if a part of it cannot be loaded. */
export async function openCall() {
  await (style ?? loadStyle());
  if (dialog.open) return;
  openedAt = performance.now();
  isMuted = isLost = false;
  const mute = byId("mute");
  const wasSilent = mute.ariaPressed === "true";
  if (wasSilent) mute.click(); // A call is to be heard.
  dialog.showModal();
  dialog.focus();
  endings = [watchCaptions(), watchState(update), watchNetwork(), startClock(), () => wasSilent && mute.click()];
  shape.voice = showVoice();
  shape.start();
  update();
  if (!capture.microphone) await startHandsFree();
  if (!dialog.open) stop(); // It was ended while the browser asked for the microphone.
}

function update() {
  if (capture.microphone) capture.microphone.muted = isMuted; // It may be another one than before.
  clearTimeout(lostTimer);
  const isCut = !navigator.onLine || document.documentElement.dataset.connection === "lost";
  if (!isCut) isLost = false;
  else if (!isLost) lostTimer = setTimeout(lose, LOST_MILLISECONDS);
  byId("call-mute").setAttribute("aria-pressed", String(isMuted));
  const face = faceOf({ isLost, isMuted });
  shape.face = face;
  showFace(face);
}

function lose() {
  isLost = true;
  update();
}

function watchNetwork() {
  const types = ["online", "offline"];
  for (const type of types) window.addEventListener(type, update);
  return () => types.forEach((type) => window.removeEventListener(type, update));
}

function startClock() {
  const show = () => (byId("call-clock").textContent = clock((performance.now() - openedAt) / 1000));
  show();
  const timer = setInterval(show, 1000);
  return () => clearInterval(timer);
}

function toggleMute() {
  isMuted = !isMuted;
  update();
}

function pressShape() {
  if (isAnswering()) interrupt();
  else if (capture.microphone?.hearing) capture.microphone.send();
}

function pressAgain() {
  dialog.focus(); // The pressed button disappears.
  tryAgain(startHandsFree);
}

/** The call is over: the page behind it has its turns. */
function ended() {
  for (const end of endings) end();
  clearTimeout(lostTimer);
  closeVoices();
  shape.stop();
  stop();
  byId("turns").lastElementChild?.scrollIntoView({ block: "end" });
}

/** Escape closes the voices, or stops the answer, or else ends the call. @param {Event} event */
function escape(event) {
  event.preventDefault();
  if (closeVoices()) return;
  if (isAnswering()) interrupt();
  else dialog.close();
}

/** @param {KeyboardEvent} event The page behind has its own keys. */
function pressKey(event) {
  event.stopPropagation();
  const isPlain = !(event.ctrlKey || event.altKey || event.metaKey || event.repeat);
  if (event.key === "Escape") escape(event);
  else if (event.key.toLowerCase() === "m" && isPlain) toggleMute();
}

/** @param {MouseEvent} event */
function pressOutsideOfVoices(event) {
  if (!atTarget(event, "#call-voices, #call-voice")) closeVoices();
}

/** @param {MouseEvent} event A key has no detail. */
function ignoreSecondTap(event) {
  const isSecond = event.detail && performance.now() - openedAt < SECOND_TAP_MILLISECONDS;
  if (isSecond && atTarget(event, ".call-buttons")) event.stopPropagation();
}

const clicks = {
  "call-shape": pressShape,
  "call-again": pressAgain,
  "call-voice": toggleVoices,
  "call-voices-list": chooseVoice,
  "call-captions-button": toggleCaptions,
  "call-mute": toggleMute,
  "call-end": () => dialog.close(),
};
for (const [id, click] of Object.entries(clicks)) byId(id).addEventListener("click", click);
dialog.addEventListener("click", ignoreSecondTap, true);
dialog.addEventListener("click", pressOutsideOfVoices);
dialog.addEventListener("keydown", pressKey);
dialog.addEventListener("keyup", (event) => event.stopPropagation());
dialog.addEventListener("cancel", escape);
dialog.addEventListener("close", ended);
byId("voice", "select").addEventListener("change", () => (shape.voice = showVoice()));

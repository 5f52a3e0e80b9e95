/** The state of the Talk page: who speaks, which microphone is in use, and the controls that show it. */

import { isHandsFree } from "./conversation-settings.js";
import { byId, find } from "./elements.js";
import { announce, clock, loudness, text } from "./page.js";

/**
 * @typedef {"ready" | "listening" | "thinking" | "speaking" | "failed"} State
 * @typedef {import("./recorder.js").Take} Take
 * @typedef {{finished: Promise<Take>, stop: () => void, send?: (take: Take) => Promise<void>,
 *   discard?: () => void}} Recording one question; `send` asks it and `discard` forgets it, if it is heard while it is
 *   made
 * @typedef {{readonly hearing: boolean, pause: number, strict: boolean, muted: boolean, send: () => void,
 *   close: () => void}} Microphone one that stays open; `muted` hears only silence
 */

const { dataset: root } = document.documentElement; // The style sheet reads it.

/** The microphone in use: a recording of one question, or in hands-free mode an open microphone for many. */
export const capture = {
  /** @type {Recording | null} */
  recorder: null,
  /** @type {Microphone | null} */
  microphone: null,
  isAsking: false, // for permission, or releasing the microphone of a recording that was thrown away
  level: 0, // the loudness that it hears, 0 to 1
};

/** @returns {State} */
export const turnState = () => /** @type {State} */ (root.turnState);

export const isAnswering = () => turnState() === "thinking" || turnState() === "speaking";

/**
 * @param {State} state
 * @param {string} [message] shown instead of the state's own text
 * @param {import("./page.js").Tone} [tone]
 */
export function enter(state, message = text(capture.microphone ? `hands-free-${state}` : state), tone = "") {
  root.turnState = state;
  if (capture.microphone) capture.microphone.strict = isAnswering();
  const isStoppable = capture.recorder || capture.microphone || isAnswering();
  byId("dock-level").hidden = !capture.recorder;
  byId("type").hidden = Boolean(capture.recorder);
  byId("dock").dataset.recording = String(capture.recorder !== null);
  byId("call", "button").disabled = Boolean(capture.recorder);
  byId("stop").setAttribute("aria-disabled", String(!isStoppable));
  showCapture();
  announce(message, tone);
}

/**
 * Wait for the next question, and in hands-free mode listen for it.
 * @param {string} [message]
 */
export function awaitQuestion(message) {
  enter(capture.microphone ? "listening" : "ready", message);
}

/** Show which microphone is in use, and the next action of the record button. */
export function showCapture() {
  const isLive = capture.recorder || capture.microphone?.hearing;
  root.microphone = isLive ? "live" : capture.microphone ? "open" : "";
  find(byId("record"), ".label").textContent = text(recordAction());
}

/** @returns {"start" | "stop" | "start-hands-free" | "interrupt" | "send-now" | "end-hands-free"} */
export function recordAction() {
  if (capture.recorder) return "stop";
  if (!capture.microphone) return isHandsFree() ? "start-hands-free" : "start";
  if (isAnswering()) return "interrupt";
  return capture.microphone.hearing ? "send-now" : "end-hands-free";
}

/** @param {import("./recorder.js").Level} level */
export function showLevel({ rms, verdict, seconds }) {
  byId("level-word").textContent = text(`level-${verdict}`);
  byId("clock").textContent = clock(seconds);
  capture.level = loudness(rms);
  byId("dock").style.setProperty("--level", String(capture.level));
}

/** @param {boolean} isThere whether the server can be reached, as far as it is needed */
export function showConnection(isThere) {
  root.connection = isThere ? "" : "lost";
}

/** Shared by the pages for recording: the choice of a microphone, its level, and its problems. */

import { byId } from "./elements.js";
import { announce, loudness, text } from "./page.js";

export { chosenMicrophone, showMicrophones } from "./microphone-choice.js";

/**
 * Show beside the button why the microphone does not work.
 * @param {string} [message] without one, the problem is over
 */
export function showMicrophoneProblem(message = "") {
  byId("microphone-problem").hidden = !message;
  byId("microphone-problem-text").textContent = message;
  if (message) announce(message);
}

/**
 * @param {string} word
 * @param {string} verdict
 */
export function showLevelWord(word, verdict) {
  byId("level-word").textContent = word;
  byId("gauge").dataset.verdict = verdict;
}

/** @param {import("./recorder.js").Level} level */
export function showLevel({ rms, verdict }) {
  showLevelWord(text(`level-${verdict}`), verdict);
  byId("level").style.setProperty("--level", String(loudness(rms)));
}

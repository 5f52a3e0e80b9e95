/** The choice of a microphone, the word for its level, and its problems. */

import { byId } from "./elements.js";

export { chosenMicrophone, showMicrophones } from "./microphone-choice.js";

/**
 * Show why the microphone does not work.
 * @param {string} [message] without one, the problem is over
 */
export function showMicrophoneProblem(message = "") {
  const problem = byId("microphone-problem");
  problem.hidden = !message;
  byId("microphone-problem-text").textContent = message;
  if (message) problem.scrollIntoView({ block: "nearest" });
}

/**
 * @param {string} word
 * @param {string} verdict
 */
export function showLevelWord(word, verdict) {
  byId("level-word").textContent = word;
  byId("gauge").dataset.verdict = verdict;
}

/** The guide to a voice: shows one step at a time, and says what the person has to know. */

import { byId, find } from "./elements.js";

const guide = find(document, ".guide");

/** @returns {string} the name of the step on the screen */
export const currentStep = () => String(guide.dataset.step);

/**
 * Show a step, and move the focus to its heading.
 * @param {string} name
 * @param {HTMLElement} [focused] gets the focus instead
 */
export function showStep(name, focused) {
  report("");
  guide.dataset.step = name;
  guide.scrollIntoView();
  const heading = find(guide, `.step[data-name=${name}] [tabindex="-1"]`);
  (focused ?? heading).focus({ preventScroll: true });
}

/**
 * Say something in the guide's own line, which covers nothing.
 * @param {string} message
 * @param {"" | "note" | "error"} [tone] "" is read by screen readers only: the step shows the same in its own way
 */
export function report(message, tone = "") {
  const line = byId("guide-status");
  line.textContent = message;
  line.dataset.tone = tone;
}

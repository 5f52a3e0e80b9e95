/** The space bar as the record button: a tap presses the button; holding the bar records until it is released. */

import { atTarget } from "./elements.js";

const HOLD_MILLISECONDS = 400; // A tap is shorter.

/** @param {KeyboardEvent} event */
const isPlainSpace = (event) => event.code === "Space" && !(event.ctrlKey || event.altKey || event.metaKey);

/** @param {KeyboardEvent} event */
const isForElement = (event) => atTarget(event, "input, textarea, select, a, summary, audio, button:not(#record)");

/**
 * @param {{press: () => void, startsRecording: () => boolean, isRecording: () => boolean}} button `startsRecording`
 *   tells whether a press would start a recording
 */
export function watchSpaceBar({ press, startsRecording, isRecording }) {
  /** @type {number | null} */
  let downAt = null; // milliseconds
  let startedOnPress = false;

  document.addEventListener("keydown", (event) => {
    if (!isPlainSpace(event) || isForElement(event)) return;
    event.preventDefault(); // Otherwise the page scrolls, or the button is clicked as well.
    if (event.repeat || downAt !== null) return;
    downAt = performance.now();
    startedOnPress = startsRecording();
    if (startedOnPress) press();
  });

  document.addEventListener("keyup", (event) => {
    if (event.code !== "Space" || downAt === null) return;
    event.preventDefault();
    const isHeld = performance.now() - downAt > HOLD_MILLISECONDS;
    downAt = null;
    if (!startedOnPress || (isHeld && isRecording())) press();
  });
}

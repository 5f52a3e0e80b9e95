/** The record button under a mouse or a finger: a click presses it; holding it records until it is released. */

const HOLD_MILLISECONDS = 300; // A click is shorter.

/**
 * @param {HTMLElement} element
 * @param {{press: () => void, startsRecording: () => boolean, isRecording: () => boolean, onHeld: () => void,
 *   onCancelled: () => void}} button `startsRecording` tells whether a press would start a recording; `onHeld` is
 *   called when a press is no click any more, `onCancelled` when the system ends it in the place of the person
 * @returns {() => boolean} whether the button is held
 */
export function watchHolding(element, { press, startsRecording, isRecording, onHeld, onCancelled }) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let holding; // until it is no click any more
  let isHeld = false;
  let isDown = false;
  let startedOnPress = false;

  element.addEventListener("pointerdown", (event) => {
    startedOnPress = event.isPrimary && event.button === 0 && startsRecording();
    if (!startedOnPress) return;
    isDown = true;
    isHeld = false;
    holding = setTimeout(() => {
      isHeld = true;
      if (isRecording()) onHeld();
    }, HOLD_MILLISECONDS);
    element.setPointerCapture(event.pointerId); // The release counts outside of the button, too.
    press(); // At once: the first word is not to be lost.
  });

  /** @param {() => void} end what to do with the recording of a button that was held */
  function release(end) {
    if (!isDown) return;
    isDown = false;
    clearTimeout(holding);
    if (isHeld && isRecording()) end();
  }

  element.addEventListener("pointerup", () => release(press));
  element.addEventListener("pointercancel", () => {
    isHeld = isDown;
    release(onCancelled);
  });
  element.addEventListener("click", (event) => {
    const isKey = event.detail === 0;
    if (startedOnPress && !isKey) startedOnPress = false; // The press has done it.
    else press();
  });
  element.addEventListener("contextmenu", (event) => {
    if (isDown) event.preventDefault(); // A long touch opens one.
  });
  return () => isDown && isHeld;
}

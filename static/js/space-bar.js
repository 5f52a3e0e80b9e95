/** The space bar as the record button: a tap presses it, and while the bar is held, it records. */

const HOLD = 400; // milliseconds; a tap is shorter

const isPlainSpace = (event) => event.code === "Space" && !(event.ctrlKey || event.altKey || event.metaKey);

/** Whether the bar means something else there. */
const isTaken = (target) => target.closest("input, textarea, select, a, summary, audio, button:not(#record)");

/**
 * @param {{press: () => void, begins: () => boolean, isBegun: () => boolean}} button `begins` tells whether a press
 *   would begin a recording, `isBegun` whether one is going on
 */
export function watchSpaceBar({ press, begins, isBegun }) {
  let downAt = null; // milliseconds
  let beganOnPress = false;

  document.addEventListener("keydown", (event) => {
    if (!isPlainSpace(event) || isTaken(event.target)) return;
    event.preventDefault(); // of scrolling, and of the button's own click
    if (event.repeat || downAt !== null) return;
    downAt = performance.now();
    beganOnPress = begins();
    if (beganOnPress) press();
  });

  document.addEventListener("keyup", (event) => {
    if (event.code !== "Space" || downAt === null) return;
    event.preventDefault();
    const isHeld = performance.now() - downAt > HOLD;
    downAt = null;
    if (!beganOnPress || (isHeld && isBegun())) press();
  });
}

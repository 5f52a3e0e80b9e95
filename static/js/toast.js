/** The status line as a toast: it covers no button and no field, whatever it says and wherever the page is scrolled. */

import { find, findAll } from "./elements.js";

const GAP = 8; // pixels between the toast and a control
const CONTROLS = "a, button, input, select, textarea, summary, audio";

const toast = find(document, ".toast");

/** @typedef {{top: number, bottom: number}} Room pixels from the top of the window */

/** @param {Room} room */
const heightOf = ({ top, bottom }) => bottom - top;

/**
 * Return the rooms that the controls leave to the toast above `bottom`, the lowest first.
 * @param {DOMRect} place where the toast would be without them
 * @returns {Room[]}
 */
function roomsAbove({ left, right, bottom }) {
  const boxes = findAll(document, CONTROLS)
    .filter((control) => control.checkVisibility() && !toast.contains(control)) // What is folded has a size, too.
    .map((control) => control.getBoundingClientRect())
    .filter((box) => box.left < right && box.right > left && box.top < bottom && box.bottom > 0)
    .sort((one, other) => other.bottom - one.bottom);
  const rooms = [];
  let end = bottom;
  for (const box of boxes) {
    rooms.push({ top: box.bottom + GAP, bottom: end });
    end = Math.min(end, box.top - GAP);
  }
  return [...rooms, { top: GAP, bottom: end }].filter((room) => heightOf(room) > 0);
}

/** Put the toast into the lowest room that is high enough for it, or else into the highest one, where it scrolls. */
function place() {
  toast.classList.remove("tight");
  toast.removeAttribute("tabindex");
  for (const name of ["--lift", "--room"]) toast.style.removeProperty(name);
  if (!toast.checkVisibility({ visibilityProperty: true })) return; // It says nothing.
  const isIn = (/** @type {Room} */ room) => heightOf(room) >= toast.offsetHeight;
  const start = toast.getBoundingClientRect();
  let room = roomsAbove(start).find(isIn);
  if (!room) {
    toast.classList.add("tight");
    const rooms = roomsAbove(toast.getBoundingClientRect());
    room = rooms.find(isIn) ?? rooms.sort((one, other) => heightOf(other) - heightOf(one))[0];
  }
  if (!room) return;
  if (!isIn(room)) toast.tabIndex = 0; // The keyboard scrolls it.
  toast.style.setProperty("--lift", `${start.bottom - room.bottom}px`);
  toast.style.setProperty("--room", `${heightOf(room)}px`);
}

let isDue = false;

/** Many events of one frame need one place. */
function placeSoon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    place();
  });
}

new MutationObserver(place).observe(toast, { childList: true });
new ResizeObserver(placeSoon).observe(document.body);
for (const change of ["scroll", "resize"]) window.addEventListener(change, placeSoon);
place();

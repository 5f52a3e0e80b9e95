/** A recording that was thrown away, or interrupted by the system: it can still be sent. */

import { ask } from "./asking.js";
import { byId } from "./elements.js";

const UNDO_MILLISECONDS = 10000;

const offer = byId("kept");

/** @type {import("./recorder.js").Take | null} */
let kept = null;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Withdraw the offer; whoever is about to use it has as much time again. */
function expire() {
  if (offer.matches(":hover, :focus-within")) timer = setTimeout(expire, UNDO_MILLISECONDS);
  else forgetTake();
}

/**
 * Offer to send a recording after all.
 * @param {import("./recorder.js").Take} take
 * @param {{forGood?: boolean}} [options] `forGood`: until something else is asked
 */
export function keepTake(take, { forGood = false } = {}) {
  clearTimeout(timer);
  kept = take;
  offer.hidden = false;
  if (!forGood) timer = setTimeout(expire, UNDO_MILLISECONDS);
}

export function forgetTake() {
  clearTimeout(timer);
  kept = null;
  offer.hidden = true;
}

/** Send the recording that was kept. */
export function sendKept() {
  const take = kept;
  byId("record").focus(); // The pressed button disappears.
  forgetTake();
  if (take) ask({ take });
}

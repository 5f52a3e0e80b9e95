/** The captions of a call: the latest question and its answer, as they are heard and said. Whether they are shown, this
 * browser remembers. */

import { byId } from "../elements.js";
import { text } from "../page.js";
import { latestTurn } from "./faces.js";

const NEAR_END_PIXELS = 60; // Someone who has scrolled further up is reading there.

const box = byId("call-captions");
const button = byId("call-captions-button");

/** @param {string} selector in the latest turn */
const latest = (selector) => latestTurn()?.querySelector(selector)?.textContent?.trim() ?? "";

function show() {
  const isAtEnd = box.scrollTop + box.clientHeight > box.scrollHeight - NEAR_END_PIXELS;
  const heard = latest(".transcript");
  byId("call-heard").textContent = heard === text("spoken-question") ? "" : heard;
  byId("call-said").textContent = latest(".reply");
  if (isAtEnd) box.scrollTop = box.scrollHeight;
}

/** @param {boolean} areShown */
function setShown(areShown) {
  button.setAttribute("aria-pressed", String(areShown));
  byId("call-dialog").classList.toggle("call-without-captions", !areShown);
  box.hidden = !areShown;
}

export function toggleCaptions() {
  const areShown = box.hidden;
  setShown(areShown);
  localStorage.setItem("call-captions", areShown ? "on" : "off");
  if (areShown) box.scrollTop = box.scrollHeight;
}

/** Follow the turns of the page. @returns {() => void} stops that */
export function watchCaptions() {
  const observer = new MutationObserver(show);
  observer.observe(byId("turns"), { childList: true, characterData: true, subtree: true });
  setShown(localStorage.getItem("call-captions") !== "off");
  for (const id of ["call-heard", "call-said"]) byId(id).textContent = ""; // Earlier turns are not of this call.
  return () => observer.disconnect();
}

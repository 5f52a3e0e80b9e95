/** What a call shows of its state: its face, a word for it, what to do now, and problems. */

import { byId, find } from "../elements.js";
import { text } from "../page.js";
import { capture, turnState } from "../turn-state.js";

/** @typedef {import("./living-shape.js").Face} Face */

const { dataset: root } = document.documentElement;
const status = byId("status");

/** @returns {HTMLElement | null} the latest turn */
export const latestTurn = () => document.querySelector("#turns > .turn:last-child");

/** @param {{isLost: boolean, isMuted: boolean}} call whether the connection is lost, or the microphone is muted */
export function faceOf({ isLost, isMuted }) {
  const state = turnState();
  if (capture.isAsking) return "starting";
  if (state === "failed" && !capture.microphone?.hearing) return isLost ? "offline" : "failed";
  if (isLost && state !== "speaking") return "offline";
  if (state === "thinking" || state === "speaking") return state;
  if (!capture.microphone) return "starting";
  return isMuted ? "muted" : "listening";
}

const isHearing = () => root.microphone === "live";

/** @returns {string} what went wrong, "" if nothing did */
function problem() {
  const turn = latestTurn();
  if (capture.microphone && turn?.dataset.status === "failed") return find(turn, ".turn-error").textContent;
  return status.textContent;
}

/** @param {Face} face */
function hintOf(face) {
  if (face === "failed") return capture.microphone ? text("call-hint-failed") : "";
  if (face === "listening" && isHearing()) return text("call-hint-hearing");
  const message = status.textContent;
  const isNews = capture.microphone ? message !== text(`hands-free-${turnState()}`) : capture.isAsking;
  return isNews && face !== "muted" && face !== "offline" ? message : text(`call-hint-${face}`);
}

/** @param {HTMLElement} element @param {string} words A live region that says the same again is read again. */
function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** @param {Face} face */
export function showFace(face) {
  byId("call-dialog").dataset.face = face;
  say(byId("call-state"), text(`call-${face}`));
  say(byId("call-problem"), face === "failed" ? problem() : "");
  byId("call-problem").hidden = face !== "failed";
  say(byId("call-hint"), hintOf(face));
  showShapeButton(face);
  showWaysOut(face);
}

/** @param {Face} face */
function showShapeButton(face) {
  const action = face === "listening" && isHearing() ? "hearing" : face;
  const isUseful = ["hearing", "thinking", "speaking"].includes(action);
  byId("call-shape").setAttribute("aria-disabled", String(!isUseful));
  say(byId("call-shape-label"), text(isUseful ? `call-shape-${action}` : `call-${face}`));
}

/** @param {Face} face */
async function showWaysOut(face) {
  const retry = latestTurn()?.querySelector(".retry:not([hidden])");
  const again = byId("call-again");
  const signIn = byId("call-sign-in", "a");
  again.hidden = face !== "failed" || (capture.microphone !== null && !retry);
  signIn.hidden = true;
  if (face !== "failed" || !(await isSignedOut())) return;
  again.hidden = true;
  signIn.hidden = false;
  signIn.search = new URLSearchParams({ next: location.pathname }).toString();
  say(byId("call-problem"), text("call-signed-out"));
}

/** Whether the page would lead to the sign-in now. */
async function isSignedOut() {
  try {
    const { type } = await fetch(location.pathname, { method: "HEAD", redirect: "manual" });
    return type === "opaqueredirect" && byId("call-dialog").dataset.face === "failed";
  } catch {
    return false;
  }
}

/** Ask the failed question again, or for the microphone. @param {() => void} openMicrophone */
export function tryAgain(openMicrophone) {
  const turn = latestTurn();
  if (capture.microphone && turn) find(turn, ".retry").click();
  else openMicrophone();
}

/**
 * Call `onChange` when the state of the page changes.
 * @param {() => void} onChange
 * @returns {() => void} stops that
 */
export function watchState(onChange) {
  const observer = new MutationObserver(onChange);
  const attributeFilter = ["data-turn-state", "data-microphone", "data-connection"];
  observer.observe(document.documentElement, { attributeFilter });
  observer.observe(status, { childList: true, characterData: true, subtree: true });
  return () => observer.disconnect();
}


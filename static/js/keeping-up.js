/**
 * Keeps the Talk page up to date: turns of other tabs and devices, and those that an earlier visit began. Loaded when
 * there is something to follow.
 */

import { isTurnRunning } from "./answering.js";
import { fetchPage } from "./api.js";
import { hasUnsent } from "./asking.js";
import { byId, find, findAll } from "./elements.js";
import { turnWhenOver } from "./live/stored-turns.js";
import { capture } from "./turn-state.js";

const RUNNING = "[data-status=received], [data-status=heard], [data-status=answered]";

const talk = byId("talk");
const list = byId("turns");
/** The turns that are followed. @type {Set<string>} */
const followed = new Set();

/** Whether the page itself changes the turns now. */
const isBusy = () => isTurnRunning() || capture.recorder !== null || Boolean(capture.microphone?.hearing);

/** @param {HTMLElement} item what can change of a turn that the page shows */
const stateOf = (item) =>
  [item.dataset.status, find(item, ".transcript").textContent, findAll(item, ".version").length].join("\n");

/** @param {HTMLElement} item whether someone uses it */
const isInUse = (item) =>
  item.querySelector(".edit-form") !== null || [...item.querySelectorAll("audio")].some((audio) => !audio.paused);

/**
 * Show the turns that the server has and this page has not. A question that was perhaps not sent could be one of them,
 * so it is sent again first.
 */
export async function refresh() {
  if (!talk.dataset.conversation || isBusy() || hasUnsent()) return;
  const page = await fetchPage(`/talk/${talk.dataset.conversation}/`).catch(() => null);
  const fresh = page?.querySelector("#turns");
  if (!fresh || isBusy()) return; // Offline or signed out; the next request tells.
  // Those that were stopped before they had an id are stored by now, if at all.
  for (const stopped of findAll(list, ':scope > [data-turn=""][data-status=interrupted]')) stopped.remove();
  for (const old of findAll(fresh, ".version")) itemOf(old)?.remove();
  for (const item of findAll(fresh, ":scope > .turn")) show(item);
  if (!page?.querySelector("#talk[data-untitled]")) delete talk.dataset.untitled;
  const title = page?.querySelector("#title")?.textContent;
  if (title && !("untitled" in talk.dataset && !list.children.length)) byId("title").textContent = title;
  byId("no-turns").hidden = list.children.length > 0;
  followRunning();
}

/** @param {HTMLElement} item @returns {HTMLElement | null} the same turn on this page */
const itemOf = (item) => list.querySelector(`:scope > [data-turn="${item.dataset.turn}"]`);

/** @param {HTMLElement} fresh a turn as the server has it */
function show(fresh) {
  const known = itemOf(fresh);
  if (known && (stateOf(known) === stateOf(fresh) || isInUse(known))) return;
  const isAtEnd = window.scrollY + window.innerHeight > document.documentElement.scrollHeight - 320;
  const hadFocus = known?.contains(document.activeElement);
  if (known) known.replaceWith(fresh);
  else list.append(fresh);
  if (hadFocus) fresh.focus({ preventScroll: true });
  // Their players show their lengths.
  for (const audio of fresh.querySelectorAll("audio")) audio.dispatchEvent(new Event("pause"));
  if (isAtEnd && fresh === list.lastElementChild) fresh.scrollIntoView({ block: "end" });
}

/** Follow the turns that are being made, and that this page did not begin. */
function followRunning() {
  for (const item of findAll(list, RUNNING)) {
    const id = String(item.dataset.turn);
    if (followed.has(id)) continue;
    followed.add(id);
    turnWhenOver(id, AbortSignal.timeout(600_000), refresh).then(() => {
      followed.delete(id);
      refresh();
    });
  }
}

followRunning();

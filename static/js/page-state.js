/** The Talk page in its browser: the title of its tab, a question before it is left, and what happened elsewhere. */

import { hasUnsent } from "./asking.js";
import { byId } from "./elements.js";
import { watchOtherTabs } from "./other-tabs.js";
import { text } from "./page.js";
import { capture, turnState } from "./turn-state.js";

const TOLD = ["listening", "thinking", "speaking", "failed"];
const site = document.title.slice(document.title.lastIndexOf(" – "));

function showTitle() {
  const title = byId("title").textContent.trim();
  const state = TOLD.includes(turnState()) ? [text(`title-${turnState()}`)] : [];
  document.title = [...state, title].join(" · ") + site;
  // What a person has typed into the field stays.
  if (!("untitled" in byId("talk").dataset)) byId("new-title", "input").defaultValue = title;
}

/** @param {BeforeUnloadEvent} event what was said would be lost */
function askBeforeLeaving(event) {
  if (capture.recorder || capture.microphone?.hearing || hasUnsent()) event.preventDefault();
}

/** Keep what is typed, also over a reload, until it is sent. */
function keepDraft() {
  const field = /** @type {HTMLInputElement | HTMLTextAreaElement} */ (byId("text"));
  const name = () => `draft ${byId("talk").dataset.user} ${location.pathname}`; // Others may use this tab next.
  const draft = sessionStorage.getItem(name());
  if (draft && !field.value) {
    field.value = draft;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  window.addEventListener("pagehide", () => {
    if (field.value) sessionStorage.setItem(name(), field.value);
    else sessionStorage.removeItem(name());
  });
}

const RUNNING = "[data-status=received], [data-status=heard], [data-status=answered]";

/** Show what has come from other tabs and devices. Without a network, the page is as it was loaded. */
const refresh = () => import("./keeping-up.js").then((keepingUp) => keepingUp.refresh()).catch(() => {});

function watchElsewhere() {
  watchOtherTabs(refresh);
  window.addEventListener("focus", refresh);
  window.addEventListener("online", refresh);
  window.addEventListener("pageshow", (event) => event.persisted && refresh());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") refresh();
  });
  if (byId("turns").querySelector(RUNNING)) import("./keeping-up.js").catch(() => {});
}

/** Follow the state of the page. */
export function watchPageState() {
  const observer = new MutationObserver(showTitle);
  observer.observe(document.documentElement, { attributeFilter: ["data-turn-state"] });
  observer.observe(byId("title"), { childList: true, characterData: true, subtree: true });
  window.addEventListener("beforeunload", askBeforeLeaving);
  keepDraft();
  watchElsewhere();
}

/** The side panel of the Talk page: how this conversation is held, and how its turns are taken. */

import { request } from "./api.js";
import { announce, text } from "./page.js";

const NO_ID = "00000000-0000-0000-0000-000000000000"; // in the addresses of a conversation that is yet to begin
const CHOICES = ["voice", "language", "model", "persona"];

const byId = (id) => document.getElementById(id);
const page = byId("talk");

/** @returns {Record<string, string>} what is chosen, without what there is no choice of */
const choices = () => Object.fromEntries(CHOICES.filter((name) => byId(name)).map((name) => [name, byId(name).value]));

/** The running conversation's id; one is begun where none is. @param {AbortSignal} signal @returns {Promise<string>} */
export async function conversationId(signal) {
  page.dataset.conversation ||= await beginConversation(signal);
  return page.dataset.conversation;
}

async function beginConversation(signal) {
  const response = await request("POST", "/api/v1/conversations", { body: choices(), signal });
  const { id } = await response.json();
  for (const name of ["href", "action", "value"]) {
    for (const element of byId("about").querySelectorAll(`[${name}*="${NO_ID}"]`)) {
      element.setAttribute(name, element.getAttribute(name).replace(NO_ID, id));
    }
  }
  byId("about").hidden = false;
  return id;
}

async function keepChoice({ target }) {
  const isNoVoice = target.id === "voice" && !target.value;
  if (!page.dataset.conversation || isNoVoice) return; // What is chosen goes along when the conversation begins.
  try {
    await request("PATCH", `/api/v1/conversations/${page.dataset.conversation}`, { body: { [target.id]: target.value } });
    announce(text("settings-kept"));
  } catch (error) {
    announce(error.message, "error");
  }
}

/** A conversation whose voice was deleted needs another one. @returns {boolean} */
export function voiceMissing() {
  if (byId("voice").value) return false;
  byId("panel").open = true;
  announce(text("need-voice"), "error");
  byId("voice").focus();
  return true;
}

// Hands-free, as this browser remembers it

/** @returns {boolean} */
export const isHandsFree = () => byId("hands-free").checked;

/** Seconds of silence after which a question is sent. @returns {number} */
export const pauseSeconds = () => Number(byId("pause").value);

const shownSeconds = () => pauseSeconds().toLocaleString(document.documentElement.lang, { minimumFractionDigits: 1 });

function showPause() {
  byId("pause-seconds").textContent = text("seconds", { seconds: shownSeconds() });
}

/** @param {() => void} onChange called when someone changes how turns are taken */
export function watchSettings(onChange) {
  for (const name of CHOICES) byId(name)?.addEventListener("change", keepChoice);
  byId("hands-free").checked = localStorage.getItem("hands-free") === "on";
  byId("pause").value = localStorage.getItem("pause") ?? byId("pause").value;
  showPause();
  for (const id of ["hands-free", "pause"]) {
    byId(id).addEventListener("input", () => {
      localStorage.setItem("hands-free", isHandsFree() ? "on" : "off");
      localStorage.setItem("pause", String(pauseSeconds()));
      showPause();
      onChange();
    });
  }
  byId("panel").open = window.matchMedia("(width >= 60rem)").matches;
}

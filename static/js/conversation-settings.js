/** The settings of the Talk page: the voice, language, model and persona of the conversation, and hands-free mode. */

import { request } from "./api.js";
import { byId, create, findAll } from "./elements.js";
import { announce, announceError, text } from "./page.js";

const PLACEHOLDER_ID = "00000000-0000-0000-0000-000000000000"; // in the links of a conversation before it has an id
const CHOICES = ["voice", "language", "model", "persona"];

/** @typedef {HTMLSelectElement | HTMLTextAreaElement} Field */

const page = byId("talk");
const panel = byId("panel", "details");
const voiceField = byId("voice", "select");
const presetField = byId("preset", "select");
const personaField = byId("persona", "textarea");
const handsFreeField = byId("hands-free", "input");
const pauseField = byId("pause", "input");

/** @returns {Field[]} the fields of this page; a site with only one model has no choice of models */
const fields = () => /** @type {Field[]} */ (CHOICES.flatMap((id) => document.getElementById(id) ?? []));

/**
 * The conversation that is being created: a question that comes meanwhile belongs to it.
 * @type {Promise<string> | null}
 */
let creation = null;

/**
 * Return the conversation's id, and create the conversation if there is none yet.
 * @param {AbortSignal} [signal]
 * @returns {Promise<string>}
 */
export async function conversationId(signal) {
  if (page.dataset.conversation) return page.dataset.conversation;
  creation ??= createConversation().finally(() => (creation = null));
  page.dataset.conversation = await creation;
  signal?.throwIfAborted();
  return page.dataset.conversation;
}

/** @returns {Promise<string>} */
async function createConversation() {
  const body = Object.fromEntries(fields().map((field) => [field.id, field.value]));
  const response = await request("POST", "/api/v1/conversations", { body });
  const { id } = await response.json();
  for (const name of ["href", "action", "value"]) {
    for (const element of findAll(byId("about"), `[${name}*="${PLACEHOLDER_ID}"]`)) {
      element.setAttribute(name, String(element.getAttribute(name)).replace(PLACEHOLDER_ID, id));
    }
  }
  byId("about").hidden = false;
  addToRecent(id);
  return id;
}

/** @param {string} id of a new conversation: put it first in the list beside the talk */
function addToRecent(id) {
  const link = create("a", { href: `/talk/${id}/`, textContent: byId("title").textContent });
  link.setAttribute("aria-current", "page");
  const item = create("li", {});
  item.append(link);
  byId("recent").prepend(item);
}

/**
 * @param {Field} field
 * @param {() => void} onSaved
 */
async function saveChoice(field, onSaved) {
  const isNoVoice = field === voiceField && !field.value;
  if (!page.dataset.conversation || isNoVoice) return; // A new conversation is created with the choices.
  try {
    await request("PATCH", `/api/v1/conversations/${page.dataset.conversation}`, { body: { [field.id]: field.value } });
    announce(text("settings-kept"));
    onSaved();
  } catch (error) {
    announceError(error);
  }
}

/** Show which of the personas is in use. */
function showPreset() {
  const isPreset = [...presetField.options].some((option) => option.value === personaField.value);
  presetField.value = isPreset ? personaField.value : "own";
}

/** Use the persona that was chosen from the list, or let the person describe one. */
function choosePreset() {
  if (presetField.value === "own") {
    setTimeout(() => (panel.open = true)); // After the click, which closes menus.
    setTimeout(() => personaField.focus());
  } else {
    personaField.value = presetField.value;
    personaField.dispatchEvent(new Event("change"));
  }
}

/** Ask for another voice if the conversation's voice was deleted. @returns {boolean} whether it was */
export function voiceMissing() {
  if (voiceField.value) return false;
  announce(text("need-voice"), "error");
  voiceField.focus();
  return true;
}

/** @returns {boolean} */
export const isHandsFree = () => handsFreeField.checked;

/** @returns {number} milliseconds of silence after which a question is sent */
export const pauseMilliseconds = () => pauseField.valueAsNumber * 1000;

function showPause() {
  const { lang } = document.documentElement;
  const seconds = pauseField.valueAsNumber.toLocaleString(lang, { minimumFractionDigits: 1 });
  byId("pause-seconds").textContent = text("seconds", { seconds });
}

/** Restore hands-free mode and its pause, which this browser remembers. */
function restoreHandsFree() {
  handsFreeField.checked = localStorage.getItem("hands-free") === "on";
  pauseField.value = localStorage.getItem("pause") ?? pauseField.value;
  showPause();
}

function storeHandsFree() {
  localStorage.setItem("hands-free", isHandsFree() ? "on" : "off");
  localStorage.setItem("pause", pauseField.value);
  showPause();
}

/**
 * @param {{onModeChange: () => void, onSaved: () => void}} callbacks `onModeChange` is called when hands-free mode or
 *   its pause changes, `onSaved` when the conversation has other settings
 */
export function watchSettings({ onModeChange, onSaved }) {
  for (const field of fields()) field.addEventListener("change", () => saveChoice(field, onSaved));
  presetField.addEventListener("change", choosePreset);
  personaField.addEventListener("change", showPreset);
  restoreHandsFree();
  for (const field of [handsFreeField, pauseField]) {
    field.addEventListener("input", () => {
      storeHandsFree();
      onModeChange();
    });
  }
}

/** The choice of a voice in a call. It is that of the page: the answers follow it from the next one. */

import { atTarget, byId, create, find, findAll } from "../elements.js";

const button = byId("call-voice");
const field = byId("voice", "select");
const list = byId("call-voices-list");
const panel = byId("call-voices");

/** @param {HTMLOptionElement} option */
function itemOf(option) {
  const choice = create("button", { type: "button", className: "call-choice", value: option.value });
  const shape = document.createElement("voice-shape");
  shape.setAttribute("voice", option.value);
  choice.append(shape, create("span", { textContent: option.label }));
  choice.setAttribute("aria-pressed", String(option.selected));
  const item = create("li", {});
  item.append(choice);
  return item;
}

/** @returns {string} the id of the voice that speaks */
export function showVoice() {
  byId("call-name").textContent = field.selectedOptions[0]?.label ?? "";
  find(button, "voice-shape").setAttribute("voice", field.value);
  return field.value;
}

export function toggleVoices() {
  if (!panel.hidden) {
    closeVoices();
    return;
  }
  list.replaceChildren(...[...field.options].filter((option) => option.value).map(itemOf));
  panel.hidden = false;
  button.setAttribute("aria-expanded", "true");
  (findAll(list, "[aria-pressed=true]")[0] ?? find(list, "button")).focus();
}

/** @returns {boolean} whether they were open */
export function closeVoices() {
  if (panel.hidden) return false;
  panel.hidden = true;
  button.setAttribute("aria-expanded", "false");
  button.focus();
  return true;
}

/** @param {MouseEvent} event */
export function chooseVoice(event) {
  const choice = atTarget(event, ".call-choice");
  if (!choice) return;
  field.value = /** @type {HTMLButtonElement} */ (choice).value;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  closeVoices();
}

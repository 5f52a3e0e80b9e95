/** Buttons that copy the text of an element: data-copy is the element's id, data-copied the label after copying. */

import { byId, findAll } from "./elements.js";

const CONFIRMATION_MILLISECONDS = 2000;

/** @param {HTMLElement} button */
async function copy(button) {
  const source = byId(String(button.dataset.copy));
  await navigator.clipboard.writeText(source.innerText.trim());
  const label = button.textContent;
  button.textContent = String(button.dataset.copied);
  setTimeout(() => {
    button.textContent = label;
  }, CONFIRMATION_MILLISECONDS);
}

for (const button of findAll(document, "[data-copy]")) {
  button.hidden = !navigator.clipboard; // Browsers have one only on HTTPS and localhost.
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", () => copy(button));
}

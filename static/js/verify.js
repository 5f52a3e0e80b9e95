/** The page that checks files: a file may be dropped on it as well as chosen. */

import { byId, find } from "./elements.js";
import { announce } from "./page.js";

const form = byId("verify", "form");
const field = find(byId("dropzone"), "input");
const button = find(form, "button");

/** @param {DragEvent} event */
function dropFile(event) {
  event.preventDefault();
  form.classList.remove("dropping");
  const files = event.dataTransfer?.files;
  if (!files?.length) return;
  field.files = files;
  form.requestSubmit(button);
}

function showBusy() {
  announce(String(byId("status").dataset.busy));
  button.setAttribute("aria-disabled", "true");
}

function showIdle() {
  announce("");
  button.removeAttribute("aria-disabled");
}

form.addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.add("dropping");
});
form.addEventListener("dragleave", () => form.classList.remove("dropping"));
form.addEventListener("drop", dropFile);
form.addEventListener("submit", showBusy);
window.addEventListener("pageshow", showIdle); // The back/forward cache restores the page as it was left.
document.getElementById("verdict-title")?.focus();

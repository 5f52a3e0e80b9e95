/** The page on which files are checked: a dropped file is as good as a chosen one. */

import { announce } from "./page.js";

const form = document.getElementById("verify");
const zone = document.getElementById("dropzone");
const field = zone.querySelector("input");
const button = form.querySelector("button");

function drop(event) {
  event.preventDefault();
  form.classList.remove("dropping");
  if (event.dataTransfer.files.length) {
    field.files = event.dataTransfer.files;
    form.requestSubmit(button);
  }
}

function tellBusy() {
  announce(document.getElementById("status").dataset.busy);
  button.setAttribute("aria-disabled", "true");
}

function tellIdle() {
  announce("");
  button.removeAttribute("aria-disabled");
}

form.addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.add("dropping");
});
form.addEventListener("dragleave", () => form.classList.remove("dropping"));
form.addEventListener("drop", drop);
form.addEventListener("submit", tellBusy);
window.addEventListener("pageshow", tellIdle); // From the browser's memory, the page comes back as it was left.
document.getElementById("verdict-title")?.focus();

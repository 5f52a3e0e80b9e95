/** Sharing an answer: the page of templates/conversations/share.html, which the Talk page shows in a dialog. */

import { request } from "./api.js";
import { atTarget, byId, create, find, findAll } from "./elements.js";
import { text } from "./page.js";

const FILE_NAME = "answer-made-by-ai.mp3";

/** @param {string} message @param {"" | "error"} [tone] */
function tell(message, tone = "") {
  const status = byId("share-status");
  status.textContent = message;
  status.dataset.tone = tone;
  status.scrollIntoView({ block: "nearest" }); // On a telephone it stands below the edge of the dialog.
}

/** @param {unknown} error */
const tellError = (error) => tell(/** @type {Error} */ (error).message, "error");

/** @param {unknown} error whether the person closed the list of programs */
const isCancelled = (error) => /** @type {Error} */ (error).name === "AbortError";

/** @param {ShareData} data hand it to another program of the person's choice */
async function handOver(data) {
  try {
    await navigator.share(data);
  } catch (error) {
    if (!isCancelled(error)) tell(text("share-failed"), "error");
  }
}

/** Offer the MP3 to other programs, where this browser can. @param {HTMLElement} root */
async function offerFile(root) {
  const empty = new File([""], FILE_NAME, { type: "audio/mpeg" });
  if (!navigator.canShare?.({ files: [empty] })) return;
  // Before the click: browsers share only right after it.
  const response = await fetch(String(root.dataset.sound)).catch(() => null);
  if (!response?.ok) return;
  const file = new File([await response.blob()], FILE_NAME, { type: "audio/mpeg" });
  const button = find(root, "#share-file");
  button.addEventListener("click", () => handOver({ files: [file] }));
  button.hidden = false;
}

/** @param {HTMLElement} root @param {SubmitEvent} event */
async function createLink(root, event) {
  event.preventDefault();
  const choices = new FormData(find(root, "#share-form", "form"));
  const body = { days: Number(choices.get("days")), with_text: choices.has("with_text") };
  try {
    const response = await request("POST", String(root.dataset.shares), { body });
    const { url } = await response.json();
    find(root, "#link", "input").value = url;
    find(root, "#new-link").hidden = false;
    find(root, "#link", "input").select();
    tell(text("link-made"));
  } catch (error) {
    tellError(error);
  }
}

/** @param {HTMLElement} root */
async function copyLink(root) {
  const field = find(root, "#link", "input");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // Without HTTPS browsers have no clipboard.
  }
  tell(text("link-copied"));
}

/** @param {SubmitEvent} event */
async function revoke(event) {
  const form = atTarget(event, "[data-share]");
  if (!form) return;
  event.preventDefault();
  try {
    await request("DELETE", String(form.dataset.share));
    form.closest("li")?.remove();
    tell(text("link-revoked"));
  } catch (error) {
    tellError(error);
  }
}

/** @param {HTMLElement} root the element #share */
function prepare(root) {
  const sendButton = find(root, "#send-link");
  sendButton.hidden = !navigator.canShare?.({ url: location.href });
  sendButton.addEventListener("click", () => handOver({ url: find(root, "#link", "input").value }));
  find(root, "#share-form").addEventListener("submit", (event) => createLink(root, /** @type {SubmitEvent} */ (event)));
  find(root, "#copy-link").addEventListener("click", () => copyLink(root));
  find(root, "#link", "input").addEventListener("focus", () => find(root, "#link", "input").select());
  root.addEventListener("submit", revoke);
  offerFile(root);
}

/** @param {Document} page the page that shares, as it was loaded */
async function adoptStyle(page) {
  const { href } = find(page, "#share-style", "link");
  if (document.querySelector(`link[href="${href}"]`)) return;
  const style = create("link", { rel: "stylesheet", href });
  const isLoaded = new Promise((resolve) => {
    style.onload = style.onerror = resolve;
  });
  document.head.append(style);
  await isLoaded;
}

/**
 * Show the page that shares an answer in a dialog.
 * @param {string} address
 */
export async function openShare(address) {
  const response = await fetch(address).catch(() => null);
  if (!response?.ok || response.redirected) {
    location.assign(address); // The page itself tells what is wrong.
    return;
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  await adoptStyle(page);
  const dialog = create("dialog", { className: "dialog" });
  dialog.setAttribute("aria-labelledby", "share-title");
  dialog.setAttribute("closedby", "any");
  const closing = byId("shortcuts").querySelector("form")?.cloneNode(true);
  const root = document.adoptNode(find(page, "#share"));
  dialog.append(root);
  if (closing) root.querySelector("h1")?.before(closing);
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // Not for the page behind it.
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  prepare(root);
  dialog.showModal();
}

for (const root of findAll(document, "main #share")) prepare(root);

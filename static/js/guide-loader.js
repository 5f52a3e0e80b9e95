/** Loads the guide when it is needed: at once for a first voice, otherwise when its fold is opened. */

import { byId, find } from "./elements.js";
import { TakeStore } from "./takes.js";

/** @type {HTMLDetailsElement | null} */
const fold = document.querySelector("#another");
const form = byId("clone-form", "form");

/** @returns {Promise<boolean>} whether there are takes of an earlier visit */
async function areTakesStored() {
  try {
    const store = await TakeStore.open(String(form.dataset.owner));
    return (await store.all()).length > 0;
  } catch {
    return false;
  }
}

const load = () => import("./voices.js");

fold?.addEventListener("toggle", load);
find(form, "[name=audio]").addEventListener("change", load);
const isAsked = ["#new-voice", "#check"].includes(window.location.hash);
const isChosen = Boolean(find(form, "[name=audio]", "input").files?.length);
if (!fold || fold.open || isAsked || isChosen || (await areTakesStored())) await load();

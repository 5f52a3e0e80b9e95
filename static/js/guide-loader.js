/** Loads the guide of a person who has a voice: when its fold is opened, or a recording waits. */

import { byId, find } from "./elements.js";
import { TakeStore } from "./takes.js";

const fold = byId("another", "details");
const form = byId("clone-form", "form");

/** @returns {Promise<boolean>} whether there are takes of an earlier visit */
async function areTakesStored() {
  try {
    const store = await TakeStore.open(String(form.dataset.owner), "sample");
    return (await store.all()).length > 0;
  } catch {
    return false;
  }
}

const load = () => import("./voices.js");

fold.addEventListener("toggle", load);
find(form, "[name=audio]").addEventListener("change", load);
const isAsked = ["#new-voice", "#check"].includes(window.location.hash);
const isChosen = Boolean(find(form, "[name=audio]", "input").files?.length);
if (fold.open || isAsked || isChosen || (await areTakesStored())) await load();

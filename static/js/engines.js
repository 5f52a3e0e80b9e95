/** The notice about engines that are being fetched: it follows the progress until they are here. */

import { byId } from "./elements.js";

const POLL_MILLISECONDS = 2000;

const notice = byId("engines");
const progress = byId("engines-progress", "progress");

/** @typedef {{state: "ready" | "engine_loading" | "models_missing", message: string, percent?: number | null}} State */

async function follow() {
  /** @type {State | undefined} */
  let state;
  try {
    const response = await fetch(notice.dataset.url ?? "", { headers: { Accept: "application/json" } });
    state = await response.json();
  } catch {
    // The server is being restarted, or the person has signed out elsewhere. The notice stays as it is.
  }
  if (state) show(state);
  if (state?.state !== "ready") setTimeout(follow, POLL_MILLISECONDS);
}

/** @param {State} state */
function show({ state, message, percent }) {
  byId("engines-message").textContent = message;
  progress.hidden = typeof percent !== "number";
  progress.value = percent ?? 0;
  notice.classList.toggle("outage", state === "models_missing");
  if (state !== "ready") return;
  byId("engines-help").hidden = true;
  byId("engines-state").textContent = message; // Read aloud once, unlike the progress.
}

setTimeout(follow, POLL_MILLISECONDS);

/** The page "Your data" while an export is being made: shows the progress, and reloads the page when it is over. */

import { byId } from "./elements.js";

const POLL_MILLISECONDS = 2000;
const progress = byId("export-progress", "progress");
const url = String(byId("export").dataset.url);

async function poll() {
  const response = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => null);
  const state = response?.ok ? await response.json() : null;
  const isOver = state ? !["waiting", "running"].includes(state.state) : response !== null;
  if (isOver) {
    location.reload();
    return;
  }
  if (state?.parts) {
    progress.max = state.parts;
    progress.value = state.parts_done;
  }
  setTimeout(poll, POLL_MILLISECONDS);
}

setTimeout(poll, POLL_MILLISECONDS);

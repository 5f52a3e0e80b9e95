/** The page "Your data" while an export is being made: how far it has come, and the page anew when it is over. */

const LOOK_MILLISECONDS = 2000;
const panel = document.getElementById("export");
const progress = document.getElementById("export-progress");

async function look() {
  const response = await fetch(panel.dataset.url, { headers: { Accept: "application/json" } }).catch(() => null);
  const state = response?.ok ? await response.json() : null;
  if (state === null ? response !== null : !["waiting", "running"].includes(state.state)) {
    location.reload();
    return;
  }
  if (state?.parts) {
    progress.max = state.parts;
    progress.value = state.parts_done;
  }
  setTimeout(look, LOOK_MILLISECONDS);
}

setTimeout(look, LOOK_MILLISECONDS);

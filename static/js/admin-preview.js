// The preview of a voice in the admin, played on the page. Without this, the form opens the sound in a tab of its own.

const preview = document.getElementById("preview");

/** @param {HTMLFormElement} form */
async function speak(form) {
  const audio = /** @type {HTMLAudioElement} */ (document.getElementById("preview-sound"));
  const problem = /** @type {HTMLElement} */ (document.getElementById("preview-problem"));
  const button = /** @type {HTMLButtonElement} */ (document.getElementById("preview-speak"));
  button.disabled = true;
  problem.hidden = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (!answer.ok) {
      throw new Error(await answer.text());
    }
    URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(await answer.blob());
    audio.hidden = false;
    await audio.play();
  } catch (error) {
    problem.textContent = error instanceof Error ? error.message : String(error);
    problem.hidden = false;
  } finally {
    button.disabled = false;
  }
}

if (preview instanceof HTMLFormElement) {
  preview.addEventListener("submit", (event) => {
    event.preventDefault();
    void speak(preview);
  });
}
